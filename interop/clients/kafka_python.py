"""kafka-python as its users write it: produce, consume, groups, admin. Argument: HOST:PORT."""

import sys
import threading
import uuid

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from tap import case, done, until

SERVER = sys.argv[1]
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


def consumer(*topics, **kwargs):
    return KafkaConsumer(*topics, bootstrap_servers=SERVER, auto_offset_reset="earliest",
                         consumer_timeout_ms=15000, **kwargs)


def take(source, count):
    got = []
    for record in source:
        got.append(record)
        if len(got) == count:
            break
    return got


def simple():
    with case("the README's line: send to a topic that is not there yet"):
        producer = KafkaProducer(bootstrap_servers=SERVER)
        meta = producer.send("topic1", b"Hello, Kafka!").get(timeout=20)
        assert (meta.topic, meta.partition, meta.offset) == ("topic1", 0, 0), meta
        producer.close()
    with case("it is read back from the beginning"):
        with consumer("topic1") as source:
            (record,) = take(source, 1)
            assert record.value == b"Hello, Kafka!" and record.key is None, record
    for codec in CODECS:
        with case(f"1,000 records with keys and headers, {codec or 'none'}"):
            round_trip(f"python-{codec}", codec)


def round_trip(topic, codec):
    with KafkaProducer(bootstrap_servers=SERVER, compression_type=codec, linger_ms=20) as producer:
        sent = [producer.send(topic, b"value %d" % i, key=b"k%d" % i, headers=[("n", b"%d" % i)])
                for i in range(1000)]
        producer.flush(30)
        assert [f.get(5).offset for f in sent] == list(range(1000))
    with consumer(topic) as source:
        for i, record in enumerate(take(source, 1000)):
            assert record.value == b"value %d" % i and record.headers == [("n", b"%d" % i)], record


def offsets():
    part = TopicPartition("topic1", 0)
    with case("beginning, end and offsets for times"):
        with consumer() as source:
            assert source.beginning_offsets([part]) == {part: 0}
            assert source.end_offsets([part]) == {part: 1}
            assert source.offsets_for_times({part: 1000})[part].offset == 0
    with case("seek and position"):
        part = TopicPartition("python-None", 0)
        with consumer() as source:
            source.assign([part])
            source.seek(part, 990)
            assert [r.offset for r in take(source, 10)] == list(range(990, 1000))
            assert source.position(part) == 1000


class Member:
    """One member of a group on a thread of its own, with what it has read."""

    def __init__(self, group, topic):
        self.client = consumer(topic, group_id=group, session_timeout_ms=6000,
                               heartbeat_interval_ms=300)
        self.read, self.stopping = [], threading.Event()
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while not self.stopping.is_set():
            for records in self.client.poll(timeout_ms=100).values():
                self.read += [r.value for r in records]
        self.client.close()

    def parts(self):
        return {p.partition for p in self.client.assignment()}

    def stop(self):
        self.stopping.set()
        self.thread.join(20)
        assert not self.thread.is_alive(), "a member did not stop"


def groups(admin):
    topic, group = f"rebalance-{uuid.uuid4().hex[:8]}", "python-group"
    admin.create_topics([NewTopic(topic, 4, 1)])
    producer = KafkaProducer(bootstrap_servers=SERVER)
    first = Member(group, topic)
    members = [first]
    try:
        with case("a lone member gets every partition"):
            until("4 partitions", lambda: first.parts() == {0, 1, 2, 3})
        with case("a second member takes half of them"):
            second = Member(group, topic)
            members.append(second)
            until("2 and 2", lambda: len(first.parts()) == len(second.parts()) == 2
                  and first.parts() | second.parts() == {0, 1, 2, 3})
        with case("every record reaches one of the two, once"):
            sent = sorted(b"%d" % i for i in range(200))
            for i in range(200):
                producer.send(topic, b"%d" % i, partition=i % 4)
            producer.flush(20)
            until("200 records", lambda: len(first.read) + len(second.read) >= 200)
            assert sorted(first.read + second.read) == sent and first.read and second.read
        with case("the group is described while it lives"):
            assert describe(admin, group) == ("Stable", 2), describe(admin, group)
        with case("when one leaves, the other takes over"):
            members.remove(second)
            second.stop()
            until("4 partitions", lambda: first.parts() == {0, 1, 2, 3})
    finally:
        for member in members:
            member.stop()
        producer.close()
    with case("the offsets they committed on leaving are there"):
        got = admin.list_group_offsets(group)
        got = got.get(group, got) if group in got else got
        assert sum(o.offset for o in got.values()) == 200, got
    with case("the group can be listed and deleted when it is empty"):
        assert group in str(admin.list_groups())
        admin.delete_groups([group])
        assert group not in str(admin.list_groups())


def describe(admin, group):
    answer = admin.describe_groups([group])
    info = answer[group] if isinstance(answer, dict) else answer[0]
    get = info.get if isinstance(info, dict) else lambda k: getattr(info, k)
    return get("group_state"), len(get("members"))


def administration(admin):
    with case("admin: a topic with settings is created, described, deleted"):
        admin.create_topics([NewTopic("python-admin", 3, 1, topic_configs={"retention.ms": "99000"})])
        (info,) = admin.describe_topics(["python-admin"])
        assert len(info["partitions"]) == 3, info
        assert "python-admin" in admin.list_topics()
        admin.delete_topics(["python-admin"])
        until("it is gone", lambda: "python-admin" not in admin.list_topics())
    with case("admin: describe_cluster names this broker"):
        cluster = admin.describe_cluster()
        port = int(SERVER.rpartition(":")[2])
        assert [b["port"] for b in cluster["brokers"]] == [port], cluster


def main():
    simple()
    offsets()
    admin = KafkaAdminClient(bootstrap_servers=SERVER)
    administration(admin)
    groups(admin)
    admin.close()
    done()


main()
