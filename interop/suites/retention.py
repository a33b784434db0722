"""Settings altered with kafka-configs take records away, and a consumer sees the log begin later."""

import re

from kit import harness, needs, procs

RECORDS = 400
VALUE = "x" * 10_000


def run(ctx):
    broker = ctx.broker(num__partitions=1, log__initial__task__delay__ms=0,
                        log__retention__check__interval__ms=100)
    log = Log(ctx, broker)
    for part in (by_size, by_time, by_broker_default):
        part(ctx, log)


class Log:
    """A topic of one partition for each case, four segments long."""

    def __init__(self, ctx, broker):
        self.ctx, self.broker = ctx, broker

    def tool(self, name, *args, **kwargs):
        return self.ctx.tool(self.broker, "kafka-" + name, *args, **kwargs)

    def fill(self, topic, **configs):
        configs = {"segment.bytes": 1_048_576, **{k.replace("_", "."): v for k, v in configs.items()}}
        pairs = [x for k, v in configs.items() for x in ("--config", f"{k}={v}")]
        self.tool("topics", "--create", "--topic", topic, *pairs)
        self.produce(topic, RECORDS)

    def produce(self, topic, count):
        """One record a batch, so that both brokers roll at the same records."""
        lines = "".join(f"{n}{VALUE}\n" for n in range(count))
        self.tool("console-producer", "--topic", topic, "--producer-property", "batch.size=0",
                  "--producer-property", "acks=all", stdin=lines)

    def alter(self, entity, name, setting):
        self.tool("configs", "--alter", "--entity-type", entity, *name, "--add-config", setting)

    def earliest(self, topic):
        done = self.tool("get-offsets", "--topic", topic, "--time", "earliest")
        return int(done.out.strip().rpartition(":")[2])

    def until_earliest(self, topic, wanted):
        procs.wait_until(f"{topic} begins at {wanted}", lambda: self.earliest(topic) == wanted, 30)

    def first_record(self, topic):
        done = self.tool("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", 1,
                         "--timeout-ms", 20000, "--formatter-property", "print.offset=true")
        return int(re.search(r"Offset:(\d+)", done.out).group(1))


def by_size(ctx, log):
    with ctx.case("retention.bytes takes whole segments from the front"):
        log.fill("by-size")
        assert log.earliest("by-size") == 0
        log.alter("topics", ("--entity-name", "by-size"), "retention.bytes=1500000")
        log.until_earliest("by-size", 208)
    with ctx.case("a consumer from the beginning starts there"):
        assert log.first_record("by-size") == 208


def by_time(ctx, log):
    with ctx.case("retention.ms takes the newest segment as well, and appends go on"):
        log.fill("by-time")
        log.alter("topics", ("--entity-name", "by-time"), "retention.ms=1")
        log.until_earliest("by-time", RECORDS)
        log.alter("topics", ("--entity-name", "by-time"), "retention.ms=3600000")
        log.produce("by-time", 1)
        assert log.first_record("by-time") == RECORDS


def by_broker_default(ctx, log):
    with ctx.case("log.retention.ms of all brokers holds for topics without their own"):
        log.fill("by-default")
        log.fill("own", retention_ms=3_600_000)
        log.alter("brokers", ("--entity-default",), "log.retention.ms=1")
        log.until_earliest("by-default", RECORDS)
        assert log.earliest("own") == 0
        log.tool("configs", "--alter", "--entity-type", "brokers", "--entity-default",
                 "--delete-config", "log.retention.ms")


SUITE = harness.Suite("retention", run, needs=(needs.kafka,), minutes=6,
                      about="altered settings delete old segments")
