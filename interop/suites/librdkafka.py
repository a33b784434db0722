"""librdkafka's own test-runner, built from the sources in the rdkafka-sys crate, in quick mode.
interop/librdkafka/tests.txt says for every one of its tests whether it must pass or why it is
left out; a test that the list does not know fails the suite."""

import concurrent.futures
import json
import os
import re

from kit import harness, needs, paths, procs, tools

LIST = paths.INTEROP / "librdkafka" / "tests.txt"
NOT_REPORTED = ("NOT REPORTED", 0.0)


def run(ctx):
    rows = [line.split("\t") for line in LIST.read_text().splitlines() if not line.startswith("#")]
    for name, mode, *reason in rows:
        if mode == "out":
            ctx.skip(name, reason[0])
    known = {name.partition("/")[0] for name, *_ in rows}
    with ctx.case("every test of the runner is in the list"):
        table = (paths.RDKAFKA / "tests" / "test.c").read_text()
        there = set(re.findall(r"_TEST\((\d\w+),", table))
        assert there <= known, f"not in {LIST}: {sorted(there - known)}"
    quick = [r[0] for r in rows if r[1] == "quick" and "/" not in r[0]]
    whole = [r[0] for r in rows if r[1] == "whole"]
    parts = [r[0] for r in rows if r[1] == "quick" and "/" in r[0]]
    broker = start(ctx)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(run_group, ctx, broker, "quick", quick, ["-Q", "-p5"]),
                pool.submit(run_rest, ctx, broker, parts, whole)]
        for job in jobs:
            job.result()
    with ctx.case("the broker still serves"):
        ctx.tool(broker, "kafka-topics", "--list")


def start(ctx):
    # One second: members that start together are expected to meet in one generation.
    return ctx.broker(num__partitions=4, group__initial__rebalance__delay__ms=1000)


def run_rest(ctx, broker, parts, whole):
    for name in parts:
        run_part(ctx, broker, name)
    run_group(ctx, broker, "whole", whole, ["-p5"])


def numbers(names):
    return ",".join(sorted({n.partition("_")[0] for n in names}))


def runner(ctx, broker, what, tests, args, timeout=240, **env):
    """One run of the test-runner; returns {test: (state, seconds)} and what it printed."""
    work = ctx.logs / what
    work.mkdir(parents=True, exist_ok=True)
    conf, report = work / "test.conf", work / "report.json"
    conf.write_text(f"metadata.broker.list={broker.address}\ntest.topic.random=true\n"
                    "broker.address.family=v4\n")
    env = {**os.environ, "RDKAFKA_TEST_CONF": str(conf), "BROKERS": broker.address,
           "KAFKA_PATH": str(kafka_path()), "TEST_KAFKA_VERSION": "4.3.1", "TEST_LEVEL": "1",
           "TESTS": tests, "TEST_REPORT": str(report),
           "LD_LIBRARY_PATH": f"{paths.RDKAFKA}/src:{paths.RDKAFKA}/src-cpp", **env}
    env.pop("CI", None)  # it would make the runner stretch its own time-outs
    done = procs.run([paths.RDKAFKA / "tests" / "test-runner", "-E", "-L", "-K", *args],
                     timeout=ctx.left_s(timeout), env=env, cwd=paths.RDKAFKA / "tests")
    (work / "output.log").write_text(done.text)
    try:
        tests = json.loads(report.read_text())["tests"]
    except (OSError, ValueError):
        tests = {}
    return {n: (t["state"], t["duration"]) for n, t in tests.items()}, done


def kafka_path():
    """A folder with `bin/kafka-topics.sh`, which some tests call."""
    script = paths.CACHE / "kafka-path" / "bin" / "kafka-topics.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    argv = needs.java(tools.MAIN["kafka-topics"])
    script.write_text("#!/bin/sh\nexec " + " ".join(f"'{a}'" for a in argv) + ' "$@"\n')
    script.chmod(0o755)
    return script.parent.parent


def run_group(ctx, broker, what, names, args):
    """Many tests beside each other; one that fails in the crowd gets a second try alone, since
    they keep time-outs of seconds and the machine may be busy."""
    results, done = runner(ctx, broker, what, numbers(names), args)
    for name in names:
        state, seconds = results.get(name, NOT_REPORTED)
        if state == "PASSED":
            ctx.ok(name, seconds)
            continue
        ctx.say(f"{name}: {state} beside others, a second try alone", quiet=True)
        again = f"{what}-{name}"
        alone = ["-Q", "-p1"] if what == "quick" else ["-p1"]
        # a broker of its own: some tests subscribe by patterns that match the first try's topics
        results_alone, done = runner(ctx, start(ctx), again, numbers([name]), alone, 120)
        state, seconds = results_alone.get(name, NOT_REPORTED)
        if state == "PASSED":
            ctx.ok(name, seconds)
        else:
            ctx.fail(name, f"{state}: {reason(done)} (see {ctx.logs}/{again}/output.log)")


def reason(done):
    """The runner's own words for the first failure in its output."""
    text = re.sub(r"\x1b\[\d*m", "", done.text)
    found = re.search(r'### Test .*? failed at (.*)\n(.*)', text)
    return f"{found[1]}: {found[2]}"[:300] if found else f"exit {done.code}"


def run_part(ctx, broker, name):
    """One sub-test; like whole tests it gets a second try alone, with a broker of its own."""
    test, _, sub = name.partition("/")
    with ctx.case(name):
        state, done = try_part(ctx, broker, test, sub, sub)
        if state != "PASSED":
            ctx.say(f"{name}: {state} beside others, a second try alone", quiet=True)
            state, done = try_part(ctx, start(ctx), test, sub, f"{sub}-again")
        assert state == "PASSED", f"{state}: {reason(done)}"
        assert f"{sub}:" in done.text, f"the runner has no sub-test {sub}"


def try_part(ctx, broker, test, sub, label):
    results, done = runner(ctx, broker, label, numbers([test]), ["-Q", "-p1"], 90, SUBTESTS=f"{sub}:")
    return results.get(test, NOT_REPORTED)[0], done


SUITE = harness.Suite("librdkafka", run, needs=(needs.kafka, needs.librdkafka), minutes=8,
                      about="librdkafka's own test-runner, quick mode")
