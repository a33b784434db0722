"""The same requests about records, right and wrong, in every version, to Apache Kafka and to the
target: Produce, idempotent producers, Fetch and its limits, ListOffsets, OffsetForLeaderEpoch,
DeleteRecords, and what settings of a topic do to records."""

from kit import harness, needs, paths

from . import groups

PROGRAM = paths.INTEROP / "log-java" / "Logs.java"


def run(ctx):
    wanted, got = groups.ask_both(ctx, PROGRAM)
    with ctx.case(f"all {len(wanted)} questions are answered"):
        assert [question for question, _ in wanted] == [question for question, _ in got]
    for api in ("Produce", "Fetch", "ListOffsets", "OffsetForLeaderEpoch", "DeleteRecords"):
        with ctx.case(f"{api} is answered as by Apache Kafka"):
            groups.compare(rf"v\d+ {api} ", wanted, got)


SUITE = harness.Suite("logs", run, needs=(needs.kafka,), minutes=4,
                      about="the same requests about records, in every version, to Apache Kafka and the target")
