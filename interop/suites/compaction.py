"""Log compaction, judged by what a consumer reads afterwards, by the checkpoint that the cleaner
leaves, and by kafka-dump-log on the files. Segments end by time, so that every round of records
but the last can be compacted."""

import random
import re
import time

from kit import harness, needs, polling, procs

from .kafka_tools import Tools

ROUNDS, RECORDS, KEYS = 4, 120, 25
FAST = {"log__cleaner__backoff__ms": 100, "log__initial__task__delay__ms": 100}


def run(ctx):
    broker = ctx.broker(num__partitions=1, offsets__topic__num__partitions=1, **FAST)
    t, sent = Tools(ctx, broker), {}
    for codec in ("none", "zstd"):
        with ctx.case(f"of each key the last record is left, tombstones included ({codec})"):
            sent[f"table-{codec}"] = last_records(t, f"table-{codec}", codec)
    with ctx.case("tombstones go once their time is over"):
        tombstones(t, "short")
    with ctx.case("__consumer_offsets is compacted"):
        committed = commits(t)
    with ctx.case("a clean stop"):
        code = broker.stop()
        assert code in (0, 143), f"exit code {code}"
    with ctx.case("kafka-dump-log finds nothing wrong with cleaned segments and their indexes"):
        for topic in ("table-none", "table-zstd", "short"):
            dump(broker.data / f"{topic}-0")
        left = dump(broker.data / "__consumer_offsets-0", "--offsets-decoder")
        assert 0 < left.count('"topic":"short"') < committed, left
    with ctx.case("after a start the same is there"):
        broker.start()
        for topic, log in sent.items():
            same(offsets_of(t, topic), last_of(log))
    with ctx.case("after a start the committed offset is the last one"):
        done = t("consumer-groups", "--describe", "--group", "group")
        assert re.search(rf"^group\s+short\s+0\s+{committed}\s", done.out, re.MULTILINE), done


def last_records(t, topic, codec):
    log = fill(t, topic, codec)
    wait_until_clean(t, topic, len(log) - 1)
    same(offsets_of(t, topic), last_of(log))
    return log


def same(found, wanted):
    assert found == wanted, f"only there: {set(found) - set(wanted)}; missing: {set(wanted) - set(found)}"


def tombstones(t, topic):
    log = fill(t, topic, "none", delete_retention_ms=1)
    wait_until_clean(t, topic, len(log) - 1)
    # the first cleaning gave them their time; another one is needed to see that it is over
    send(t, topic, "none", [("closer-2", "x")])
    wait_until_clean(t, topic, len(log))
    kept = [put for put in last_of(log) if put[2] != "NULL"]
    same(offsets_of(t, topic), kept + [(len(log), "closer-2", "x")])


def commits(t):
    """Commits offset after offset for one group; returns the last one."""
    topic, last = "__consumer_offsets", 6
    commit(t, 0)
    t("configs", "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config",
      "segment.ms=50,min.cleanable.dirty.ratio=0.01")
    for offset in range(1, last + 1):
        commit(t, offset)
    wait_until_clean(t, topic, last)
    return last


def commit(t, offset):
    t("consumer-groups", "--reset-offsets", "--group", "group", "--topic", "short", "--to-offset",
      offset, "--execute")


def fill(t, topic, codec, **configs):
    """The records as they were sent: key and value, by offset."""
    t.create(topic, cleanup_policy="compact", segment_ms=50, min_cleanable_dirty_ratio=0.01,
             **configs)
    moments, log = random.Random(topic), []
    for number in range(ROUNDS):
        puts = [(f"key-{moments.randrange(KEYS)}", f"{number}-{i}" + "v" * moments.randrange(200))
                if moments.random() > 0.2 else (f"key-{moments.randrange(KEYS)}", "NULL")
                for i in range(RECORDS)]
        send(t, topic, codec, puts)
        log += puts
    send(t, topic, codec, [("closer", "x")])
    return log + [("closer", "x")]


def send(t, topic, codec, puts):
    time.sleep(0.1)  # twice segment.ms: the segment before ends with the next record
    t.produce(topic, [f"{key}:{value}" for key, value in puts],
              "--property", "parse.key=true", "--property", "key.separator=:",
              "--property", "null.marker=NULL", "--compression-codec", codec)


def last_of(log):
    last = {key: (offset, key, value) for offset, (key, value) in enumerate(log)}
    return sorted(last.values())


def wait_until_clean(t, topic, offset):
    """Until the cleaner's checkpoint says that all below `offset` is clean."""
    path = t.broker.data / "cleaner-offset-checkpoint"

    def clean_to():
        text = path.read_text() if path.exists() else ""
        found = re.search(rf"^{re.escape(topic)} 0 (\d+)$", text, re.MULTILINE)
        return found and int(found[1]) >= offset
    polling.until(f"{topic} is clean up to {offset}", clean_to, 30)


def offsets_of(t, topic):
    """Offset, key and value of every record that is left."""
    done = t("console-consumer", "--topic", topic, "--partition", 0, "--offset", "earliest",
             "--timeout-ms", 5000,
             "--property", "print.key=true", "--property", "print.offset=true",
             "--property", "key.separator=:", "--property", "null.literal=NULL", code=None)
    lines = [line for line in done.out.splitlines() if line.startswith("Offset:")]
    puts = [line.removeprefix("Offset:").split(":", 2) for line in lines]
    return [(int(offset), key, value) for offset, key, value in puts]


def dump(directory, *decoder):
    """Verifies a partition's files; returns what the tool says of the logs."""
    logs = sorted(directory.glob("*.log"))
    assert len(logs) >= 2, logs
    said = "".join(dump_log("--deep-iteration", *decoder, "--files", log).text for log in logs)
    assert "isvalid: false" not in said, said
    indexes = [log.with_suffix(suffix) for log in logs for suffix in (".index", ".timeindex")]
    indexes = ",".join(str(path) for path in indexes if path.exists())
    done = dump_log("--verify-index-only", "--files", indexes)
    assert "Mismatches" not in done.text and "Found timestamp" not in done.text, done
    return said


def dump_log(*args):
    done = procs.run(needs.java("org.apache.kafka.tools.DumpLogSegments", *args))
    assert done.code == 0, done
    return done


SUITE = harness.Suite("compaction", run, needs=(needs.kafka,), minutes=8,
                      about="log compaction, read back and dumped")
