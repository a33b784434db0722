"""kcat 1.7.1 with librdkafka 2.0.2, as Debian ships them: an old client that must not need luck.
It also looks at the log on disk: that librdkafka compresses at all when ApiVersions is right."""

import re
import signal
import struct
import subprocess

from kit import harness, needs, procs

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
LINES = "".join(f"k{i}:value {i} {'x' * 50}\n" for i in range(500))


def run(ctx):
    broker = ctx.broker(num__partitions=1)
    k = Kcat(ctx, broker)
    produce_and_consume(ctx, k)
    metadata(ctx, k)
    offsets(ctx, k)
    idempotent(ctx, k)
    balanced_group(ctx, k)


class Kcat:
    def __init__(self, ctx, broker):
        self.ctx, self.broker = ctx, broker

    def argv(self, *args):
        return ["kcat", "-b", self.broker.address, "-X", "broker.address.family=v4", *args]

    def __call__(self, *args, stdin=None, code=0):
        done = procs.run(self.argv(*args), stdin=stdin, timeout=self.ctx.left_s(30))
        assert done.code == code and not done.timed_out, str(done)
        return done

    def codecs_on_disk(self, topic):
        """The compression codec of every batch in the topic's log (v2 batches back to back)."""
        (segment,) = (self.broker.data / f"{topic}-0").glob("*.log")
        data, at, codecs = segment.read_bytes(), 0, []
        while at + 61 <= len(data):
            (length,) = struct.unpack_from(">i", data, at + 8)
            if length <= 0:
                break  # zeros: room that was set aside behind the last batch
            codecs.append(struct.unpack_from(">h", data, at + 21)[0] & 7)
            at += 12 + length
        return codecs


def produce_and_consume(ctx, k):
    for codec, number in CODECS.items():
        topic = f"kcat-{codec}"
        with ctx.case(f"{codec}: 500 records go in and come out in order"):
            k("-P", "-t", topic, "-K", ":", "-z", codec, stdin=LINES)
            got = k("-C", "-t", topic, "-e", "-q", "-K", ":").out
            assert got == LINES, got[:200]
        with ctx.case(f"{codec}: the batches in the log are compressed so"):
            found = set(k.codecs_on_disk(topic))
            assert found == {number}, f"codecs {found}, wanted {number}"


def metadata(ctx, k):
    with ctx.case("-L lists this broker, topics, partitions"):
        text = k("-L").out
        assert f"at {k.broker.address}" in text, text
        assert re.search(r'topic "kcat-gzip" with 1 partitions:', text), text
    with ctx.case("-L of a topic that is not there creates it, as Kafka does"):
        k("-L", "-t", "made-by-metadata")
        procs.wait_until("the topic", lambda: "made-by-metadata\" with 1" in k("-L").out, 10)


def offsets(ctx, k):
    with ctx.case("offsets by timestamp, and the ends"):
        def ask(when):
            return k("-Q", "-t", f"kcat-none:0:{when}").out.strip()
        assert ask(1) == "kcat-none [0] offset 0", ask(1)
        assert ask(-2) == "kcat-none [0] offset 0", ask(-2)
        assert ask(-1) == "kcat-none [0] offset 500", ask(-1)
    with ctx.case("reading from an offset, from the tail, and between timestamps"):
        assert len(k("-C", "-t", "kcat-zstd", "-p", "0", "-o", "490", "-e", "-q").out.splitlines()) == 10
        assert len(k("-C", "-t", "kcat-zstd", "-p", "0", "-o", "-5", "-e", "-q").out.splitlines()) == 5
        got = k("-C", "-t", "kcat-zstd", "-o", "s@1", "-o", "e@4000000000000", "-e", "-q").out
        assert len(got.splitlines()) == 500
    with ctx.case("-J gives topic, partition, offset, timestamp and key"):
        first = k("-C", "-t", "kcat-none", "-c", "1", "-J", "-q").out
        assert '"offset":0' in first and '"key":"k0"' in first and '"tstype":"create"' in first, first


def idempotent(ctx, k):
    with ctx.case("an idempotent producer, and a tombstone"):
        k("-P", "-t", "kcat-idem", "-X", "enable.idempotence=true", "-X", "acks=all", stdin=LINES)
        assert len(k("-C", "-t", "kcat-idem", "-e", "-q").out.splitlines()) == 500
        k("-P", "-t", "kcat-idem", "-K", ":", "-Z", stdin="gone:\n")
        last = k("-C", "-t", "kcat-idem", "-o", "-1", "-e", "-q", "-f", "%k %S\n").out
        assert last == "gone -1\n", last


def balanced_group(ctx, k):
    with ctx.case("a balanced consumer group reads everything and commits"):
        argv = k.argv("-G", "kcat-group", "-X", "auto.offset.reset=earliest", "-q", "-u",
                      "kcat-none", "kcat-gzip")
        path = ctx.logs / "group.out"
        with open(path, "wb") as out:
            child = procs.spawn(argv, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.DEVNULL)
        try:
            procs.wait_until("1,000 records",
                             lambda: path.read_bytes().count(b"\n") >= 1000, 30)
        finally:
            procs.reap(child, signal.SIGINT)
        done = ctx.tool(k.broker, "kafka-consumer-groups", "--describe", "--group", "kcat-group")
        rows = re.findall(r"kcat-group\s+(kcat-\w+)\s+0\s+(\d+)\s+(\d+)\s+0\s", done.out)
        assert sorted(rows) == [("kcat-gzip", "500", "500"), ("kcat-none", "500", "500")], done.out


SUITE = harness.Suite("kcat", run, needs=(needs.kafka, lambda: needs.debian("kcat")), minutes=4,
                      about="Debian's kcat with librdkafka 2.0.2")
