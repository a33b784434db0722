"""The same group requests, right and wrong, in every version, to Apache Kafka and to the target:
their answers are the same but for the order of lists, which Kafka leaves to its hash maps."""

import concurrent.futures
import re

from kit import harness, needs, paths, procs

PROGRAM = paths.INTEROP / "groups-java" / "Groups.java"


def ask(ctx, program, broker):
    """What the broker answers, by version and question."""
    done = procs.run(needs.java(program, broker.port, heap="512m"), timeout=ctx.left_s(150))
    (ctx.logs / f"answers-{broker.kind}.txt").write_text(done.out)
    assert done.code == 0, f"{broker.kind}: {done}"
    rows = [line.split("\t") for line in done.out.splitlines()]
    return [(f"v{version} {what}", answer) for version, what, answer in rows]


def unordered(answer):
    return sorted(re.findall(r"[^,\[\]() ]+", answer))


def ask_both(ctx, program):
    """With Apache Kafka as target, it is compared with itself: the check that only order differs."""
    ctx.logs.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        brokers = list(pool.map(ctx.broker, ("kafka", ctx.options.target)))
        return tuple(pool.map(lambda broker: ask(ctx, program, broker), brokers))


def run(ctx):
    wanted, got = ask_both(ctx, PROGRAM)
    with ctx.case(f"all {len(wanted)} questions are answered"):
        assert [question for question, _ in wanted] == [question for question, _ in got]
    for version in range(10):
        with ctx.case(f"groups of version {version} live as in Apache Kafka"):
            compare(f"v{version} ", wanted, got)


def compare(pattern, wanted, got):
    """The answers to the questions that begin with the pattern."""
    asked = [(question, theirs, ours) for (question, theirs), (_, ours) in zip(wanted, got)
             if re.match(pattern, question)]
    assert asked, f"nothing was asked that begins with {pattern}"
    pairs = [x for x in asked if unordered(x[1]) != unordered(x[2])]
    told = [f"{question}\n        Kafka {theirs}\n        we    {ours}" for question, theirs, ours in pairs]
    assert not told, "\n      " + "\n      ".join(told[:10])


SUITE = harness.Suite("groups", run, needs=(needs.kafka,), minutes=4,
                      about="the same group requests, in every version, to Apache Kafka and the target")
