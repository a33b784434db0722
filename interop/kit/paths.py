"""Where things are."""

import os
import pathlib

INTEROP = pathlib.Path(__file__).resolve().parent.parent
ROOT = INTEROP.parent
CACHE = pathlib.Path(os.environ.get("INTEROP_CACHE", INTEROP / ".cache"))
LOGS = CACHE / "logs"
VENV_PYTHON = CACHE / "venv" / "bin" / "python"
RDKAFKA = CACHE / "librdkafka"
