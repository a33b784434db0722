"""The tests that the rdkafka and rskafka crates carry with them, unchanged, against one broker.
interop/rust-clients/left-out.txt names those that do not run, each with its reason."""

import re

from kit import harness, needs, paths, procs

PACKAGES = {"rdkafka": "rdkafka-tests", "rskafka": "rskafka-tests"}
HELPERS = {"utils", "test_helpers", "java_helper", "rdkafka_helper"}


def run(ctx):
    out = dict(harness.read_list(paths.INTEROP / "rust-clients" / "left-out.txt"))
    broker = ctx.broker(num__partitions=3)
    seen = set()
    for crate, package in PACKAGES.items():
        tests = paths.CACHE / "rust-clients" / package / "tests"
        for file in sorted(tests.glob("*.rs")):
            if file.stem not in HELPERS:
                seen |= run_file(ctx, broker, crate, package, file.stem, out)
    with ctx.case("every test that is left out exists"):
        assert set(out) <= seen, f"not in the crates any more: {sorted(set(out) - seen)}"


def run_file(ctx, broker, crate, package, stem, out):
    prefix = f"{crate}::{stem}::"
    skipped = [n.removeprefix(prefix) for n in out if n.startswith(prefix)]
    for name in skipped:
        ctx.skip(prefix + name, out[prefix + name])
    env = {**needs.cargo_env(), "KAFKA_HOST": broker.address, "KAFKA_VERSION": "4.3.1",
           "TEST_INTEGRATION": "1", "KAFKA_CONNECT": broker.address, "TEST_BROKER_IMPL": "kafka",
           "RUST_LOG": "off"}
    argv = ["cargo", "test", "-q", "--locked", "--offline", "-p", package, "--test", stem, "--"]
    argv_names = procs.run([*argv, "--list"], env=env, cwd=paths.CACHE / "rust-clients")
    names = set(re.findall(r"^(\S+): test$", argv_names.out, re.M)) - helper_tests(argv_names.out)
    flags = [x for name in skipped for x in ("--skip", name)]
    done = procs.run([*argv[:2], *argv[3:], "--exact", "--test-threads=4", *flags],
                     timeout=ctx.left_s(180), env=env, cwd=paths.CACHE / "rust-clients")
    (ctx.logs / f"{crate}-{stem}.log").write_text(done.text)
    states = dict(re.findall(r"^test (\S+) (?:- \S+ )?\.\.\. (\w+)", done.out, re.M))
    for name in sorted(names - set(skipped)):
        state = states.get(name, f"not reported, exit {done.code}")
        if state == "ok":
            ctx.ok(prefix + name)
        else:
            ctx.fail(prefix + name, f"{state} (see {ctx.logs}/{crate}-{stem}.log)")
    return {prefix + name for name in names}


def helper_tests(listing):
    """Tests of the helper modules, which every file would run again."""
    return {n for n in re.findall(r"^(\S+): test$", listing, re.M) if n.partition("::")[0] in HELPERS}


SUITE = harness.Suite("rust-clients", run, needs=(needs.kafka, needs.rust_clients), minutes=6,
                      about="the rdkafka and rskafka crates' own tests")
