"""A Kafka Streams application: repartition topics that it purges, changelogs that are compacted and
from which a new instance takes its state, joins with a table and with a global table."""

from kit import harness, needs, paths

PROGRAM = paths.INTEROP / "streams-java" / "Streams.java"


def run(ctx):
    broker = ctx.broker(offsets__topic__num__partitions=1)
    ctx.program(needs.java(PROGRAM, broker.address, broker.base / "streams", heap="512m"))


SUITE = harness.Suite("streams", run, needs=(needs.kafka,), minutes=5,
                      about="a Kafka Streams application with state, repartitioning and restoring")
