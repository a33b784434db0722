"""librdkafka's own test-runner, built from the sources in the rdkafka-sys crate, in quick mode.
interop/librdkafka/tests.txt says for every one of its tests whether it must pass or why it is
left out; a test that the list does not know fails the suite."""

import concurrent.futures
import os
import re

from kit import harness, needs, paths, procs, tools

LIST = paths.INTEROP / "librdkafka" / "tests.txt"
ROW = re.compile(r"^\|(?:\x1b\[\d+m)? (\w+)\s+\|\s+(\w+) \|\s+([\d.]+)s[^|]*\|(.*)$", re.M)


def run(ctx):
    rows = [line.split("\t") for line in LIST.read_text().splitlines() if not line.startswith("#")]
    for name, mode, *reason in rows:
        if mode == "out":
            ctx.skip(name, reason[0])
    chosen = {mode: [r[0] for r in rows if r[1] == mode] for mode in ("quick", "whole")}
    with ctx.case("every test of the runner is in the list"):
        known = {name.partition("/")[0] for name, *_ in rows}
        table = (paths.RDKAFKA / "tests" / "test.c").read_text()
        there = set(re.findall(r"_TEST\((\d\w+),", table))
        assert there <= known, f"not in {LIST}: {sorted(there - known)}"
    # Real waiting for a second member is part of what these tests expect of a group.
    broker = ctx.broker(num__partitions=4, group__initial__rebalance__delay__ms=3000)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(run_group, ctx, broker, mode, [n for n in names if "/" not in n])
                for mode, names in chosen.items()]
        for job in jobs:
            job.result()
    for name in chosen["quick"]:
        if "/" in name:
            run_subtest(ctx, broker, name)
    with ctx.case("the broker still serves"):
        ctx.tool(broker, "kafka-topics", "--list")


def numbers(names):
    return ",".join(sorted({n.partition("_")[0] for n in names}))


def runner(ctx, broker, what, tests, args, timeout=280, **env):
    """One run of the test-runner; returns {test: (state, seconds, note)}."""
    work = ctx.logs / what
    work.mkdir(parents=True, exist_ok=True)
    conf = work / "test.conf"
    conf.write_text(f"metadata.broker.list={broker.address}\ntest.topic.random=true\n"
                    "broker.address.family=v4\n")
    env = {**os.environ, "RDKAFKA_TEST_CONF": str(conf), "BROKERS": broker.address,
           "KAFKA_PATH": str(kafka_path()), "TEST_KAFKA_VERSION": "4.3.1", "TEST_LEVEL": "1",
           "TESTS": tests, "LD_LIBRARY_PATH": f"{paths.RDKAFKA}/src:{paths.RDKAFKA}/src-cpp", **env}
    env.pop("CI", None)  # it would make the runner stretch its own time-outs
    done = procs.run([paths.RDKAFKA / "tests" / "test-runner", "-E", "-L", "-K", *args],
                     timeout=ctx.left_s(timeout), env=env, cwd=paths.RDKAFKA / "tests")
    (work / "output.log").write_text(done.text)
    return {m[1]: (m[2], m[3], m[4].strip()) for m in ROW.finditer(done.text)}, done


def kafka_path():
    """A folder with `bin/kafka-topics.sh`, which some tests call."""
    script = paths.CACHE / "kafka-path" / "bin" / "kafka-topics.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    argv = needs.java(tools.MAIN["kafka-topics"])
    script.write_text("#!/bin/sh\nexec " + " ".join(f"'{a}'" for a in argv) + ' "$@"\n')
    script.chmod(0o755)
    return script.parent.parent


def run_group(ctx, broker, mode, names):
    args = ["-Q", "-p5"] if mode == "quick" else ["-p8"]
    results, done = runner(ctx, broker, mode, numbers(names), args)
    for name in names:
        state, seconds, note = results.get(name, ("NOT REPORTED", "0", f"exit {done.code}"))
        if state == "PASSED":
            ctx.ok(name, float(seconds))
        else:
            note = re.sub(r"\x1b\[\d*m", "", note)
            ctx.fail(name, f"{state} {note} (see {ctx.logs}/{mode}/output.log)")


def run_subtest(ctx, broker, name):
    test, _, sub = name.partition("/")
    with ctx.case(name):
        results, done = runner(ctx, broker, sub, test.partition("_")[0], ["-Q", "-p1"], 90,
                               SUBTESTS=f"{sub}:")
        state, _, note = results.get(test, ("NOT REPORTED", "0", f"exit {done.code}"))
        assert state == "PASSED", f"{state} {note}"
        assert f"{sub}:" in done.text, f"the runner has no sub-test {sub}"


SUITE = harness.Suite("librdkafka", run, needs=(needs.kafka, needs.librdkafka), minutes=8,
                      about="librdkafka's own test-runner, quick mode")
