"""confluent-kafka (librdkafka's newest, as a wheel): idempotent producer, group, admin.
Argument: HOST:PORT."""

import sys

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException,
                             Producer, TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewPartitions, NewTopic, OffsetSpec, ResourceType)

from tap import case, done, until

SERVER = sys.argv[1]
BASE = {"bootstrap.servers": SERVER, "broker.address.family": "v4"}
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def result(futures):
    return {key: future.result(20) for key, future in futures.items()}


def produce(topic, values, **config):
    acks = []
    producer = Producer({**BASE, "enable.idempotence": True, "linger.ms": 5, **config})
    for value in values:
        producer.produce(topic, value, key=b"k", partition=0, headers={"h": b"v"},
                         on_delivery=lambda err, msg: acks.append((err, msg and msg.offset())))
    assert producer.flush(30) == 0, "not everything was acknowledged"
    assert all(err is None for err, _ in acks), acks[:3]
    return [offset for _, offset in acks]


def consume(consumer, count, timeout=20):
    got = []

    def poll():
        for message in consumer.consume(500, 0.1):
            if message.error():
                raise KafkaException(message.error())
            got.append(message)
        return len(got) >= count

    until(f"{count} records", poll, timeout)
    return got


def group(name, **config):
    return Consumer({**BASE, "group.id": name, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, "session.timeout.ms": 6000, **config})


def producing(admin):
    result(admin.create_topics([NewTopic(f"confluent-{c}", 1, 1) for c in CODECS]))
    for codec in CODECS:
        with case(f"idempotent producer, {codec}: 2,000 records in order"):
            values = [b"%d" % i for i in range(2000)]
            offsets = produce(f"confluent-{codec}", values, **{"compression.type": codec})
            assert offsets == list(range(2000)), offsets[:5]
            reader = group(f"read-{codec}")
            reader.subscribe([f"confluent-{codec}"])
            got = consume(reader, 2000)
            assert [m.value() for m in got] == values
            assert got[0].headers() == [("h", b"v")] and got[0].key() == b"k"
            reader.close()
    with case("a record above max.message.bytes is refused"):
        result(admin.create_topics([NewTopic("tiny", 1, 1, config={"max.message.bytes": "500"})]))
        errors = []
        producer = Producer({**BASE})
        producer.produce("tiny", b"x" * 5000, on_delivery=lambda err, _: errors.append(err))
        producer.flush(20)
        assert errors[0].code() == KafkaError.MSG_SIZE_TOO_LARGE, errors


def consuming():
    topic = "confluent-none"
    with case("watermarks and offsets for times"):
        reader = group("times")
        assert reader.get_watermark_offsets(TopicPartition(topic, 0), 10) == (0, 2000)
        assert reader.offsets_for_times([TopicPartition(topic, 0, 1000)], 10)[0].offset == 0
        reader.close()
    with case("commit, close, go on where it stopped"):
        reader = group("resume")
        reader.subscribe([topic])
        consume(reader, 1)
        reader.commit(offsets=[TopicPartition(topic, 0, 1500)], asynchronous=False)
        reader.close()
        again = group("resume")
        again.subscribe([topic])
        got = consume(again, 500)
        assert got[0].offset() == 1500 and len(got) == 500, (got[0].offset(), len(got))
        assert again.committed([TopicPartition(topic, 0)], 10)[0].offset == 1500
        again.close()


def rebalancing(admin):
    result(admin.create_topics([NewTopic("shared", 4, 1)]))
    for strategy in ("range", "roundrobin", "cooperative-sticky"):
        with case(f"two members share four partitions, {strategy}"):
            share(strategy)
    with case("static members come back without a rebalance"):
        static()


def share(strategy):
    config = {"partition.assignment.strategy": strategy}
    first, second = group(f"share-{strategy}", **config), group(f"share-{strategy}", **config)
    for reader in (first, second):
        reader.subscribe(["shared"])

    def balanced():
        for reader in (first, second):
            reader.poll(0.05)
        parts = [{p.partition for p in r.assignment()} for r in (first, second)]
        return all(len(p) == 2 for p in parts) and parts[0] | parts[1] == {0, 1, 2, 3}

    until("two and two", balanced)
    second.close()
    until("all four", lambda: (first.poll(0.05), len(first.assignment()) == 4)[1])
    first.close()


def static():
    def member():
        reader = group("static", **{"group.instance.id": "one"})
        reader.subscribe(["shared"])
        until("an assignment", lambda: (reader.poll(0.05), len(reader.assignment()) == 4)[1])
        return reader

    first = member()
    was = first.memberid()
    first.close()
    second = member()
    assert was and second.memberid() and was != second.memberid()
    second.close()


def administration(admin):
    with case("admin: describe cluster, topics, list topics"):
        cluster = admin.describe_cluster(request_timeout=10).result(20)
        assert len(cluster.nodes) == 1 and cluster.cluster_id, cluster
        assert len(admin.list_topics("shared", 10).topics["shared"].partitions) == 4
    with case("admin: create partitions"):
        result(admin.create_partitions([NewPartitions("shared", 6)]))
        until("six", lambda: len(admin.list_topics("shared", 10).topics["shared"].partitions) == 6)
    with case("admin: incremental alter and describe configs"):
        entry = ConfigEntry("retention.ms", "123456",
                            incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, "shared", incremental_configs=[entry])
        result(admin.incremental_alter_configs([resource]))

        def altered():
            asked = ConfigResource(ResourceType.TOPIC, "shared")
            (got,) = result(admin.describe_configs([asked])).values()
            assert len(got) > 25, got
            return got["retention.ms"].value == "123456"

        until("the new value", altered)
    with case("admin: list offsets, delete records"):
        part = TopicPartition("confluent-gzip", 0)
        result(admin.delete_records([TopicPartition("confluent-gzip", 0, 100)]))
        assert result(admin.list_offsets({part: OffsetSpec.earliest()}))[part].offset == 100
        assert result(admin.list_offsets({part: OffsetSpec.max_timestamp()}))[part].offset >= 100
    with case("admin: list, describe, alter offsets of, delete groups"):
        names = {g.group_id for g in admin.list_consumer_groups().result(20).valid}
        assert "resume" in names, names
        info = admin.describe_consumer_groups(["resume"])["resume"].result(20)
        assert info.state.name == "EMPTY", info.state
        moved = ConsumerGroupTopicPartitions("resume", [TopicPartition("confluent-none", 0, 7)])
        result(admin.alter_consumer_group_offsets([moved]))
        asked = ConsumerGroupTopicPartitions("resume")
        (got,) = result(admin.list_consumer_group_offsets([asked])).values()
        assert [p.offset for p in got.topic_partitions] == [7], got
        result(admin.delete_consumer_groups(["resume"]))
        assert "resume" not in {g.group_id for g in admin.list_consumer_groups().result(20).valid}
    with case("admin: delete topics"):
        result(admin.delete_topics(["shared"]))
        until("it is gone", lambda: "shared" not in admin.list_topics(timeout=10).topics)


def main():
    admin = AdminClient(BASE)
    producing(admin)
    consuming()
    rebalancing(admin)
    administration(admin)
    done()


main()
