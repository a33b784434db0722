"""The command line of interop/run."""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import sys
import time

from . import harness, needs, paths, procs


def default_binary():
    target = os.environ.get("CARGO_TARGET_DIR", paths.ROOT / "target")
    return pathlib.Path(target) / "release" / "kring"


def parse(argv, names):
    p = argparse.ArgumentParser(
        prog="interop/run", description="Runs clients that nobody here wrote against a broker.")
    p.add_argument("--target", choices=("kring", "kafka"), default="kring",
                   help="which broker serves (kafka: Apache Kafka, to check the suites themselves)")
    p.add_argument("--kring", type=pathlib.Path, default=default_binary(),
                   metavar="PATH", help="the broker's binary (default: the release build)")
    p.add_argument("--loadgen", type=pathlib.Path, metavar="PATH",
                   help="the load generator's binary (default: the one beside the broker's)")
    p.add_argument("--only", action="append", metavar="SUITE", choices=names,
                   help="run this suite only (repeatable)")
    p.add_argument("--list", action="store_true", help="list the suites and end")
    p.add_argument("--shards", type=int, help="start Kring with this many shards")
    p.add_argument("--rounds", type=int, help="kills of the crash suite (25; Apache Kafka: 2)")
    p.add_argument("--jobs", type=int, default=2, help="suites at a time (default 2)")
    p.add_argument("--install-only", action="store_true", help="install what is needed and end")
    p.add_argument("-v", "--verbose", action="store_true", help="print every case")
    options = p.parse_args(argv)
    options.kring = options.kring.resolve()
    options.loadgen = (options.loadgen or options.kring.with_name("kring-loadgen")).resolve()
    options.kring_args = ["--shards", str(options.shards)] if options.shards else []
    return options


def main(argv, suites):
    options = parse(argv, [s.name for s in suites])
    if options.list:
        for suite in suites:
            print(f"{suite.name:<16} {suite.about}")
        return 0
    procs.install_handlers()
    chosen = [s for s in suites if not options.only or s.name in options.only]
    began = time.monotonic()
    try:
        prepare(options, chosen)
    except needs.Missing as missing:
        print(f"interop: something that is needed is missing: {missing}", file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    if options.install_only:
        return 0
    done = run_all(options, chosen)
    return report(done, time.monotonic() - began)


def prepare(options, chosen):
    """Installs everything before the first suite: what is missing is known at once."""
    if options.target == "kring" and not options.install_only:
        if not options.kring.is_file():
            raise needs.Missing(f"{options.kring} (cargo build --release, or --kring PATH)")
    for suite in chosen:
        shutil.rmtree(paths.LOGS / suite.name, ignore_errors=True)
    needs.kafka()
    wanted = dict.fromkeys(need for suite in chosen for need in suite.needs)
    for need in wanted:
        need()


def run_all(options, chosen):
    print(f"target: {options.target}; {len(chosen)} suites, {options.jobs} at a time", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        return list(pool.map(lambda suite: harness.run_suite(suite, options), chosen))


def report(done, seconds):
    failed = sum(len(c.failed) for c in done)
    for context in done:
        for name in context.failed:
            print(f"failed: {context.suite.name}: {name} (logs: {context.logs})")
    print(f"({seconds:.0f} s)")
    print(harness.counts(sum(len(c.passed) for c in done), failed,
                         sum(len(c.skipped) for c in done)), flush=True)
    return 1 if failed else 0
