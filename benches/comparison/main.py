"""The command line: which measures, how often, what is written."""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

from kit import needs, procs

from . import measures, report, sides

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def parse(argv):
    built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    p = argparse.ArgumentParser(
        prog="benches/compare", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compares Kring with Apache Kafka 4.3.1 on this machine.",
        epilog="measures, with their modes: " + ", ".join(measures.NAMES))
    p.add_argument("--kring", type=pathlib.Path, default=built / "kring", metavar="PATH",
                   help="the broker (default: the release build)")
    p.add_argument("--loadgen", type=pathlib.Path, default=built / "kring-loadgen", metavar="PATH")
    p.add_argument("--kafka-home", type=pathlib.Path, metavar="DIR",
                   help="an unpacked Kafka; without it, its jars come from Maven")
    p.add_argument("--rounds", type=int, default=3, metavar="N", help="of each measure on each broker (3)")
    p.add_argument("--only", action="append", metavar="MEASURE[:MODE]", choices=measures.NAMES,
                   help="this measure, in all its modes of durability or in one (repeatable)")
    p.add_argument("--broker-cpus", metavar="LIST", help="pin the brokers to these CPUs (0,1-3)")
    p.add_argument("--client-cpus", metavar="LIST", help="pin the clients to these CPUs")
    p.add_argument("--dir", type=pathlib.Path, metavar="DIR", help="data directories go there")
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("comparison"), metavar="DIR",
                   help="report.md, its plots and report.json go there (./comparison)")
    p.add_argument("--short", action="store_true",
                   help="every measure for a moment, on one broker of each: shows that all of it works, and nothing else")
    return p.parse_args(argv)


def main(argv):
    options = parse(argv)
    procs.install_handlers()
    try:
        prepare(options)
    except needs.Missing as missing:
        print(f"benches/compare: something that is needed is missing: {missing}", file=sys.stderr)
        return 1
    began, results = time.time(), report.Results()
    turns = short(options, results) if options.short else long(options, results)
    for _ in turns:
        # Each time: a run that is stopped leaves what it has.
        report.write(options.out, results, options, time.time() - began)
    print(f"report: {options.out / 'report.md'}")
    for failure in results.failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if results.failures else 0


def long(options, results):
    """The brokers take turns, so that what else the machine does hits both."""
    for measure, mode in chosen(options):
        for number in range(options.rounds):
            for kind in measure.kinds:
                print(f"{measure.name}, {mode}, round {number + 1} of {options.rounds}: {kind} … ", end="", flush=True)
                with results.part(measure.name, mode, kind), sides.Bench(kind, mode, options, results) as bench:
                    measured(measure, bench, results)
        yield


def chosen(options):
    everything = [(measure, mode) for measure in measures.ALL for mode in measure.modes]
    wanted = set(options.only or [])
    return [(m, mode) for m, mode in everything if not wanted or {m.name, f"{m.name}:{mode}"} & wanted]


def short(options, results):
    """Every measure, one after the other on one broker of each kind, by its own defaults."""
    options.rounds = 1
    wanted = {name.partition(":")[0] for name in options.only or measures.NAMES}
    for kind in sides.KINDS:
        with sides.Bench(kind, sides.DEFAULTS, options, results) as bench:
            for measure in (m for m in measures.ALL if kind in m.kinds and m.name in wanted):
                print(f"{measure.name}: {kind} … ", end="", flush=True)
                with results.part(measure.name, sides.DEFAULTS, kind):
                    measured(measure, bench, results)
        yield


def measured(measure, bench, results):
    found = measure.function(bench)
    results.add(measure.name, bench.mode, bench.kind, found)
    print(json.dumps({name: float(f"{value:.4g}") for name, value in found.items()}), flush=True)


def prepare(options):
    for binary in (options.kring, options.loadgen):
        if not binary.is_file():
            raise needs.Missing(f"{binary} (cargo build --release -p kring-broker -p kring-loadgen)")
    if options.broker_cpus or options.client_cpus:
        needs.programs("taskset")
    if options.kafka_home:
        needs._class_path[:] = [f"{options.kafka_home}/libs/*"]
    else:
        needs.kafka()
    for need in dict.fromkeys(need for measure, _ in chosen(options) for need in measure.needs):
        need()
    if options.dir:
        tempfile.tempdir = str(options.dir)
    options.out.mkdir(parents=True, exist_ok=True)

