"""Kring's codecs against Kafka's own Java classes: programs under interop/wire-java and
interop/records-java, which exit non-zero where the two differ."""

import os
import re

from kit import harness, needs, paths, procs

CHECKS = ("wire-java/run", "records-java/check")


def run(ctx):
    env = {**os.environ, "KAFKA_CLASSPATH": needs.kafka_class_path()}
    ctx.logs.mkdir(parents=True, exist_ok=True)
    for check in CHECKS:
        with ctx.case(check):
            script = paths.INTEROP / check
            assert script.exists(), f"interop/{check} is missing"
            done = procs.run([script], timeout=ctx.left_s(400), env=env, cwd=paths.ROOT)
            (ctx.logs / f"{check.replace('/', '-')}.log").write_text(done.text)
            assert done.code == 0, str(done)
            told = re.findall(r"(\d+) passed, (\d+) failed", done.text)
            assert all(failed == "0" for _, failed in told), done.text[-500:]


SUITE = harness.Suite("java", run, minutes=9, about="Kring's codecs against Kafka's Java classes",
                      needs=(needs.kafka, lambda: needs.programs("cargo")))
