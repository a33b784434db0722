"""Kring's codecs against Kafka's own Java classes. The programs live in interop/wire-java and
interop/records-java; each brings a `run` that ends with `N passed, N failed`."""

import os
import re

from kit import harness, needs, paths, procs

FOLDERS = ("wire-java", "records-java")


def run(ctx):
    env = {**os.environ, "KAFKA_CLASSPATH": needs.kafka_class_path()}
    for folder in FOLDERS:
        script = paths.INTEROP / folder / "run"
        if not script.exists():
            ctx.skip(folder, f"interop/{folder}/run is not there")
            continue
        with ctx.case(folder):
            done = procs.run([script], timeout=ctx.left_s(400), env=env, cwd=paths.ROOT)
            ctx.logs.mkdir(parents=True, exist_ok=True)
            (ctx.logs / f"{folder}.log").write_text(done.text)
            assert done.code == 0, str(done)
            last = re.findall(r"(\d+) passed, (\d+) failed", done.text)
            assert last and int(last[-1][0]) > 0 and last[-1][1] == "0", done.text[-500:]


SUITE = harness.Suite("java", run, needs=(needs.kafka,), minutes=9,
                      about="Kring's codecs against Kafka's Java classes")
