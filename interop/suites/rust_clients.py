"""The tests that the rdkafka and rskafka crates carry with them, unchanged, against one broker.
interop/rust-clients/left-out.txt names those that do not run, each with its reason."""

import json
import re

from kit import harness, needs, paths, procs

HELPERS = {"utils", "test_helpers", "java_helper", "rdkafka_helper"}


def run(ctx):
    folder = paths.CACHE / "rust-clients"
    programs = json.loads((folder / "tests.json").read_text())
    out = dict(harness.read_list(paths.INTEROP / "rust-clients" / "left-out.txt"))
    # what the crates' own set-ups configure, and some of their tests rely on
    brokers = {"rdkafka": ctx.broker(num__partitions=3, node__id=0),
               "rskafka": ctx.broker(auto__create__topics__enable="false")}
    seen = set()
    for key, program in sorted(programs.items()):
        package, _, stem = key.partition("/")
        if stem not in HELPERS:
            crate = package.removesuffix("-tests")
            seen |= run_program(ctx, brokers[crate], crate, stem, program, out)
    with ctx.case("every test that is left out exists"):
        assert set(out) <= seen, f"not in the crates any more: {sorted(set(out) - seen)}"


def run_program(ctx, broker, crate, stem, program, out):
    """Runs what one test file was built to. Returns the names of all its tests."""
    prefix = f"{crate}::{stem}::"
    listing = procs.run([program, "--list"], env=needs.cargo_env())
    names = {n for n in re.findall(r"^(\S+): test$", listing.out, re.M)
             if n.partition("::")[0] not in HELPERS}
    if not names:
        ctx.fail(f"{prefix}*", f"it lists no tests: {listing}")
    wanted = sorted(n for n in names if prefix + n not in out)
    for name in sorted(names - set(wanted)):
        ctx.skip(prefix + name, out[prefix + name])
    results = tests(ctx, broker, program, f"{crate}-{stem}", wanted, threads=4, timeout=100)
    for name in wanted:
        if results.get(name) != "ok":
            # they keep time-outs of seconds, and the machine may be busy: a second try alone
            ctx.say(f"{prefix}{name}: {results.get(name)}, a second try alone", quiet=True)
            results |= tests(ctx, broker, program, f"{crate}-{stem}-{name}", [name], 1, 40)
        if results.get(name) == "ok":
            ctx.ok(prefix + name)
        else:
            ctx.fail(prefix + name, f"{results.get(name)} (see {ctx.logs}/{crate}-{stem}-{name}.log)")
    return {prefix + name for name in names}


def tests(ctx, broker, program, log, names, threads, timeout):
    """{test: "ok" or what else was said of it}."""
    env = {**needs.cargo_env(), "KAFKA_HOST": broker.address, "KAFKA_VERSION": "4.3.1",
           "TEST_INTEGRATION": "1", "KAFKA_CONNECT": broker.address, "TEST_BROKER_IMPL": "kafka",
           "RUST_LOG": "off"}
    if not names:
        return {}
    done = procs.run([program, "--exact", *names, f"--test-threads={threads}"],
                     timeout=ctx.left_s(timeout), env=env, cwd=paths.CACHE)
    (ctx.logs / f"{log}.log").write_text(done.text)
    found = dict(re.findall(r"^test (\S+) (?:- .*? )?\.\.\. (\w+)", done.out, re.M))
    rest = "timed out" if done.timed_out else f"not reported, exit {done.code}"
    return {name: found.get(name, rest) for name in names}


SUITE = harness.Suite("rust-clients", run, needs=(needs.kafka, needs.rust_clients), minutes=6,
                      about="the rdkafka and rskafka crates' own tests")
