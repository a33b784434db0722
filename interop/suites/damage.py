"""Files damaged while their broker was down: who is offline then, what `kring log repair` gives back, and what
kafka-dump-log and both brokers say of the mended files."""

import re

from kit import harness, needs, procs

from .compaction import dump
from .kafka_tools import Tools

RECORDS, PARTITIONS = 6000, 3
SEGMENT_BYTES = 1 << 20


def run(ctx):
    if not ctx.options.kring.is_file():
        return ctx.skip("damaged files are mended", f"{ctx.options.kring} is not there, and it is what mends them")
    broker = ctx.broker(num__partitions=PARTITIONS, log__segment__bytes=SEGMENT_BYTES)
    t = Tools(ctx, broker)
    with ctx.case("records in several segments of each partition"):
        t("topics", "--create", "--topic", "hurt", "--partitions", PARTITIONS)
        produce(ctx, broker, RECORDS)
        sent = consumed(t)
        assert len(sent) == RECORDS, len(sent)
    stop(ctx, broker)
    with ctx.case("kring log verify finds nothing wrong with what the broker left"):
        kring_log(ctx, broker, "verify", code=0)
    flip(first_log(broker, 0), 500_000)
    cut(last_log(broker, 1), 5)
    if ctx.options.target == "kring":
        offline_alone(ctx, broker, t, sent)
    with ctx.case("kring log verify names both files, and repair mends them"):
        told = kring_log(ctx, broker, "verify", code=1)
        assert str(first_log(broker, 0)) in told and str(last_log(broker, 1)) in told, told
        lost = lost_offsets(kring_log(ctx, broker, "repair", "--yes", code=0))
        assert lost and lost < sent, lost
        kring_log(ctx, broker, "verify", code=0)
    with ctx.case("kafka-dump-log finds nothing wrong with what was mended"):
        for partition in range(PARTITIONS):
            dump(broker.data / f"hurt-{partition}")
    with ctx.case("the broker serves every record that was sound, at its offset, and goes on behind"):
        broker.start()
        found = consumed(t)
        assert found == sent - lost, (len(found), len(sent), len(lost))
        ends = t("get-offsets", "--topic", "hurt").out
        produce(ctx, broker, PARTITIONS * 100)
        again = consumed(t)
        assert len(again) == len(found) + PARTITIONS * 100, len(again)
        old_end = {int(p): int(end) for p, end in re.findall(r"hurt:(\d+):(\d+)", ends)}
        assert all(offset >= old_end[partition] for partition, offset in again - found), "an offset was given twice"


def offline_alone(ctx, broker, t, sent):
    with ctx.case("the partition that lost its end is offline alone, and the broker names file and byte"):
        broker.start()
        done = t("topics", "--describe", "--topic", "hurt")
        leaders = dict(re.findall(r"Partition: (\d)\s+Leader: (\w+)", done.out))
        assert leaders == {"0": "1", "1": "none", "2": "1"}, done
        assert {p for p, _ in consumed(t, partition=2)} == {2}
        log = broker.log_path.read_text(errors="replace")
        assert re.search(rf"{re.escape(str(last_log(broker, 1)))} is damaged at byte \d+", log), log
    stop(ctx, broker)


def stop(ctx, broker):
    with ctx.case("a clean stop"):
        code = broker.stop()
        assert code in (0, 143), f"exit code {code}"


def produce(ctx, broker, records):
    done = ctx.tool(broker, "kafka-producer-perf-test", "--topic", "hurt", "--num-records", records,
                    "--record-size", 1000, "--throughput", -1, "--producer-props", "acks=all",
                    f"bootstrap.servers={broker.address}", timeout=120)
    assert f"{records} records sent" in done.out, str(done)


def consumed(t, partition=None):
    """Partition and offset of every record."""
    where = ("--partition", partition, "--offset", "earliest") if partition is not None else ("--from-beginning",)
    done = t("console-consumer", "--topic", "hurt", *where, "--timeout-ms", 8000,
             "--property", "print.partition=true", "--property", "print.offset=true",
             "--property", "print.value=false", code=None)
    return {(int(p), int(o)) for p, o in re.findall(r"Partition:(\d+)\s+Offset:(\d+)", done.out)}


def kring_log(ctx, broker, *words, code):
    done = procs.run([ctx.options.kring, "log", *words, broker.data])
    assert done.code == code, done
    return done.text


def lost_offsets(told):
    lines = re.findall(r"hurt-(\d)/.*: offsets? (\d+)(?: to (\d+))? (?:is|are) lost", told)
    return {(int(p), offset) for p, first, last in lines for offset in range(int(first), int(last or first) + 1)}


def first_log(broker, partition):
    return sorted((broker.data / f"hurt-{partition}").glob("*.log"))[0]


def last_log(broker, partition):
    return sorted((broker.data / f"hurt-{partition}").glob("*.log"))[-1]


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def cut(path, by):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - by)


SUITE = harness.Suite("damage", run, needs=(needs.kafka,), minutes=5,
                      about="files damaged at rest, mended by kring log repair")
