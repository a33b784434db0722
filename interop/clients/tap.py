"""What every Python client program here shares: claims printed as `ok NAME`, `not ok NAME :: WHY`,
and last `1..N`, which interop/run counts."""

import contextlib
import pathlib
import sys
import traceback

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from kit.polling import until  # noqa: E402, F401  (part of what this module offers)

_count = [0, 0]


@contextlib.contextmanager
def case(name):
    try:
        yield
    except Exception as error:  # a claim fails for whatever reason
        where = traceback.format_tb(error.__traceback__)[-1].strip().splitlines()[0]
        text = f"{type(error).__name__} {error} at {where}".replace("\n", " ")
        print(f"not ok {name} :: {text}", flush=True)
        _count[1] += 1
    else:
        print(f"ok {name}", flush=True)
    _count[0] += 1


def done():
    print(f"1..{_count[0]}", flush=True)
    sys.exit(1 if _count[1] else 0)
