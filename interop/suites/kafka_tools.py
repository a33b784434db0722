"""Apache Kafka 4.3.1's own command-line tools, one claim per case, asserted on what they print."""

import json
import re
import signal
import subprocess
import time

from kit import harness, needs, procs, tools

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def run(ctx):
    broker = ctx.broker(num__partitions=1)
    t = Tools(ctx, broker)
    for part in (topics, console, offsets, groups, configs, delete_records, log_dirs,
                 api_versions, performance, verifiable):
        part(ctx, t)


class Tools:
    """The tools bound to one broker."""

    def __init__(self, ctx, broker):
        self.ctx, self.broker = ctx, broker

    def __call__(self, name, *args, **kwargs):
        return self.ctx.tool(self.broker, "kafka-" + name, *args, **kwargs)

    def produce(self, topic, lines, *args):
        self("console-producer", "--topic", topic, *args, stdin="".join(f"{x}\n" for x in lines))

    def consume(self, topic, count, *args):
        """`count` records from the console consumer, as lines."""
        done = self("console-consumer", "--topic", topic, "--from-beginning", "--max-messages",
                    count, "--timeout-ms", 20000, *args)
        return done.out.splitlines()

    def create(self, topic, partitions=1, **configs):
        pairs = [x for k, v in configs.items() for x in ("--config", f"{k.replace('_', '.')}={v}")]
        self("topics", "--create", "--topic", topic, "--partitions", partitions, *pairs)


def has(done, *wanted):
    for text in wanted:
        assert text in done.text, f"no {text!r} in: {done}"


def topics(ctx, t):
    with ctx.case("topics: create says so"):
        done = t("topics", "--create", "--topic", "orders", "--partitions", 3,
                 "--config", "retention.ms=3600000")
        has(done, "Created topic orders.")
    with ctx.case("topics: create twice is refused, or passed over when asked"):
        has(t("topics", "--create", "--topic", "orders", code=1), "Topic 'orders' already exists")
        t("topics", "--create", "--topic", "orders", "--if-not-exists")
    with ctx.case("topics: a bad name is refused with Kafka's words"):
        has(t("topics", "--create", "--topic", "a b", code=1), "Topic name is invalid", "ASCII alphanumerics")
    with ctx.case("topics: list shows it"):
        assert "orders" in t("topics", "--list").out.split()
    with ctx.case("topics: describe shows partitions, leader, replicas, configs"):
        done = t("topics", "--describe", "--topic", "orders")
        has(done, "PartitionCount: 3", "ReplicationFactor: 1", "retention.ms=3600000")
        rows = re.findall(r"Partition: (\d)\s+Leader: (\d+)\s+Replicas: (\d+)\s+Isr: (\d+)", done.out)
        assert [r[0] for r in rows] == ["0", "1", "2"], rows
        assert all(r[1] == r[2] == r[3] for r in rows), rows
    with ctx.case("topics: describe of what is not there fails"):
        has(t("topics", "--describe", "--topic", "nothing", code=1), "does not exist")
    with ctx.case("topics: alter adds partitions and refuses to take them away"):
        t("topics", "--alter", "--topic", "orders", "--partitions", 5)
        has(t("topics", "--describe", "--topic", "orders"), "PartitionCount: 5")
        has(t("topics", "--alter", "--topic", "orders", "--partitions", 2, code=1), "currently has 5")
    with ctx.case("topics: delete removes it"):
        t.create("short-lived")
        t("topics", "--delete", "--topic", "short-lived")
        assert "short-lived" not in t("topics", "--list").out.split()
        has(t("topics", "--delete", "--topic", "short-lived", code=1), "does not exist")


def console(ctx, t):
    words = [f"word {i}" for i in range(20)]
    with ctx.case("console: lines produced come back from the beginning in order"):
        t.create("words")
        t.produce("words", words)
        assert t.consume("words", 20) == words
    with ctx.case("console: auto-creation on the first produce"):
        t.produce("made-by-producer", ["x"])
        assert t.consume("made-by-producer", 1) == ["x"]
    with ctx.case("console: keys, headers, timestamps, partition and offset are printed"):
        t.create("keyed")
        t.produce("keyed", ["h1:v1\tk1|v1", "h1:v2\tk2|v2"], "--reader-property", "parse.key=true",
                  "--reader-property", "key.separator=|", "--reader-property", "parse.headers=true")
        prints = [x for p in ("key", "headers", "timestamp", "partition", "offset") for x in
                  ("--formatter-property", f"print.{p}=true")]
        lines = t.consume("keyed", 2, *prints)
        for i, line in enumerate(lines):
            assert re.fullmatch(rf"CreateTime:\d{{13}}\tPartition:0\tOffset:{i}\th1:v{i+1}\t"
                                rf"k{i+1}\tv{i+1}", line), line
    with ctx.case("console: a group reads on where it stopped"):
        assert t.consume("words", 5, "--group", "readers",
                         "--command-property", "max.poll.records=5") == words[:5]
        done = t("console-consumer", "--topic", "words", "--group", "readers", "--max-messages", 15,
                 "--timeout-ms", 20000)
        assert done.out.splitlines() == words[5:], done
    with ctx.case("console: one partition from an offset"):
        done = t("console-consumer", "--topic", "words", "--partition", 0, "--offset", 17,
                 "--max-messages", 3, "--timeout-ms", 20000)
        assert done.out.splitlines() == words[17:], done
    for codec in CODECS[1:]:
        with ctx.case(f"console: {codec} batches come back"):
            t.produce(f"console-{codec}", words, "--compression-codec", codec)
            assert t.consume(f"console-{codec}", 20) == words
    with ctx.case("console: a record too large for the topic is refused"):
        t.create("small", max_message_bytes=1000)
        done = t("console-producer", "--topic", "small", stdin="x" * 5000 + "\n", code=None)
        has(done, "RecordTooLarge")
    with ctx.case("console: a record without a key is refused by a compacted topic"):
        t.create("compacted", cleanup_policy="compact")
        has(t("console-producer", "--topic", "compacted", stdin="x\n", code=None), "InvalidRecord")


def offsets(ctx, t):
    def get(*args):
        return t("get-offsets", *args).out.split()

    with ctx.case("get-offsets: earliest and latest of every partition"):
        t.create("spread", 2)
        t.produce("spread", ["a", "b", "c"], "--command-property",
                  "partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner")
        got = get("--topic", "spread", "--time", "latest")
        assert sum(int(x.split(":")[2]) for x in got) == 3 and len(got) == 2, got
        assert get("--topic", "spread", "--time", "earliest") == ["spread:0:0", "spread:1:0"]
    with ctx.case("get-offsets: the record with the largest timestamp"):
        assert get("--topic", "words", "--time", "max-timestamp")[0].startswith("words:0:")
        t.create("empty")
        got = get("--topic", "empty", "--time", "max-timestamp")
        assert got == [], got
    with ctx.case("get-offsets: by time"):
        assert get("--topic", "words", "--time", "1000") == ["words:0:0"]
        future = str(int(time.time() * 1000) + 3_600_000)
        got = get("--topic", "words", "--time", future)
        assert got == [], got
    with ctx.case("get-offsets: by topic and partition pattern"):
        assert get("--topic-partitions", "wor.*:0,spread:1", "--time", "earliest") == \
            ["spread:1:0", "words:0:0"]
    with ctx.case("get-offsets: earliest-local and latest-tiered answer"):
        assert get("--topic", "words", "--time", "earliest-local") == ["words:0:0"]


def groups(ctx, t):
    def describe(group, *args):
        return t("consumer-groups", "--describe", "--group", group, *args)

    def row(group, topic, partition=0):
        for line in describe(group).out.splitlines():
            cells = line.split()
            if cells[:3] == [group, topic, str(partition)]:
                return cells
        raise AssertionError(f"no row for {group} {topic} {partition}: {describe(group)}")

    with ctx.case("consumer-groups: list, with state and type"):
        assert "readers" in t("consumer-groups", "--list").out.split()
        assert re.search(r"readers\s+Classic\s+Empty", t(
            "consumer-groups", "--list", "--state", "--type").out)
        has(t("groups", "--list"), "readers")
    with ctx.case("consumer-groups: describe shows offset, end, lag"):
        assert row("readers", "words")[3:6] == ["20", "20", "0"]
    with ctx.case("consumer-groups: describe --state and --members of an empty group"):
        assert re.search(r"readers.*Empty\s+0", describe("readers", "--state").out)
        has(describe("readers", "--members"), "no active members")
    with ctx.case("consumer-groups: a group that is not there"):
        done = t("consumer-groups", "--describe", "--group", "nobody", code=None)
        has(done, "nobody")
    with ctx.case("consumer-groups: describe shows a live member and its assignment"):
        live_member(ctx, t, describe)
    with ctx.case("consumer-groups: reset-offsets dry run changes nothing"):
        done = t("consumer-groups", "--reset-offsets", "--group", "readers", "--topic", "words",
                 "--to-earliest", "--dry-run")
        assert re.search(r"readers\s+words\s+0\s+0", done.out), done
        assert row("readers", "words")[3] == "20"
    with ctx.case("consumer-groups: reset-offsets to earliest, offset, shift, latest, time"):
        for how, wanted in ((["--to-earliest"], "0"), (["--to-offset", "7"], "7"),
                            (["--shift-by", "3"], "10"), (["--to-latest"], "20"),
                            (["--to-datetime", "2000-01-01T00:00:00.000"], "0")):
            t("consumer-groups", "--reset-offsets", "--group", "readers", "--topic", "words",
              *how, "--execute")
            assert row("readers", "words")[3] == wanted, (how, row("readers", "words"))
    with ctx.case("consumer-groups: delete-offsets takes away one topic"):
        has(t("consumer-groups", "--delete-offsets", "--group", "readers", "--topic", "words"),
            "Successful")
        assert "words" not in describe("readers").out
    with ctx.case("consumer-groups: delete removes the group"):
        t.consume("words", 5, "--group", "doomed")
        has(t("consumer-groups", "--delete", "--group", "doomed"), "was successful")
        assert "doomed" not in t("consumer-groups", "--list").out.split()
        has(t("consumer-groups", "--delete", "--group", "doomed", code=None), "GroupIdNotFound")


def live_member(ctx, t, describe):
    argv = tools.argv("kafka-console-consumer", ["--topic", "words", "--group", "live"],
                      t.broker.address)
    child = procs.spawn(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL)
    try:
        procs.wait_until("a member of the group 'live'", lambda: re.search(
            r"live\s+words\s+0\s.*console-consumer", describe_or_empty(t, "live")), 30)
        has(describe("live", "--state"), "Stable", "range")
        assert re.search(r"live\s.*\s1\s+words\(0\)|live\s.*\s1\s", describe(
            "live", "--members", "--verbose").out)
        done = t("consumer-groups", "--reset-offsets", "--group", "live", "--topic", "words",
                 "--to-earliest", "--execute", code=None)
        has(done, "inactive")
        has(t("consumer-groups", "--delete", "--group", "live", code=None), "not empty")
    finally:
        procs.reap(child, signal.SIGTERM)


def describe_or_empty(t, group):
    return t("consumer-groups", "--describe", "--group", group, code=None).out


def configs(ctx, t):
    def topic(*args, **kw):
        return t("configs", "--entity-type", "topics", "--entity-name", "orders", *args, **kw)

    def broker(*args, **kw):
        return t("configs", "--entity-type", "brokers", "--entity-name", "1", *args, **kw)

    with ctx.case("configs: a topic's own settings"):
        has(topic("--describe"), "retention.ms=3600000", "DYNAMIC_TOPIC_CONFIG:retention.ms=3600000")
    with ctx.case("configs: every setting of a topic, with source"):
        done = topic("--describe", "--all")
        has(done, "cleanup.policy=delete", "max.message.bytes=1048588", "segment.bytes=1073741824",
            "compression.type=producer", "DEFAULT_CONFIG:log.cleanup.policy=delete")
        assert len(re.findall(r"^  \S+=", done.out, re.M)) >= 30, done
    with ctx.case("configs: alter and delete a topic setting"):
        topic("--alter", "--add-config", "cleanup.policy=[compact,delete],segment.ms=60000")
        has(topic("--describe"), "cleanup.policy=compact,delete", "segment.ms=60000")
        topic("--alter", "--delete-config", "segment.ms")
        assert "segment.ms" not in topic("--describe").out
    with ctx.case("configs: an invalid value and an unknown name are refused"):
        has(topic("--alter", "--add-config", "retention.ms=soon", code=1), "retention.ms")
        has(topic("--alter", "--add-config", "no.such.thing=1", code=1), "no.such.thing")
    with ctx.case("configs: a broker's settings"):
        has(broker("--describe", "--all"), "log.retention.hours=168", "num.partitions=1",
            "offsets.topic.num.partitions=50")
    with ctx.case("configs: alter a broker's setting, and the default of all brokers"):
        broker("--alter", "--add-config", "log.retention.ms=7200000")
        has(broker("--describe"), "log.retention.ms=7200000", "DYNAMIC_BROKER_CONFIG")
        broker("--alter", "--delete-config", "log.retention.ms")
        assert "log.retention.ms" not in broker("--describe").out
        everyone = ["--entity-type", "brokers", "--entity-default"]
        t("configs", *everyone, "--alter", "--add-config", "log.retention.ms=7300000")
        has(t("configs", *everyone, "--describe"), "log.retention.ms=7300000")
        t("configs", *everyone, "--alter", "--delete-config", "log.retention.ms")


def delete_records(ctx, t):
    with ctx.case("delete-records: the low watermark moves, and reading starts there"):
        t.create("trimmed")
        t.produce("trimmed", range(10))
        where = ctx.brokers[0].base / "delete.json"
        where.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": "trimmed", "partition": 0, "offset": 6}]}))
        has(t("delete-records", "--offset-json-file", where), "low_watermark: 6")
        assert t("get-offsets", "--topic", "trimmed", "--time", "earliest").out.split() == \
            ["trimmed:0:6"]
        assert t.consume("trimmed", 4) == ["6", "7", "8", "9"]
    with ctx.case("delete-records: an offset past the end is an error"):
        where.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": "trimmed", "partition": 0, "offset": 600}]}))
        has(t("delete-records", "--offset-json-file", where, code=None), "OffsetOutOfRange")


def log_dirs(ctx, t):
    with ctx.case("log-dirs: every partition with its size"):
        done = t("log-dirs", "--describe", "--topic-list", "words,empty")
        answer = json.loads(done.out.splitlines()[-1])
        (directory,) = answer["brokers"][0]["logDirs"]
        assert directory["error"] is None, done
        sizes = {p["partition"]: p["size"] for p in directory["partitions"]}
        assert sizes["words-0"] > 0 and sizes["empty-0"] == 0, sizes
        assert all(p["offsetLag"] == 0 for p in directory["partitions"]), done


def api_versions(ctx, t):
    with ctx.case("broker-api-versions: lists what the broker serves"):
        has(t("broker-api-versions"), "Produce(0): 0 to 13", "Fetch(1): 4 to 18",
            "Metadata(3): 0 to 13", "JoinGroup(11): 0 to 9", "ApiVersions(18): 0 to 4")
    with ctx.case("cluster: the cluster id"):
        has(t("cluster", "cluster-id"), "Cluster ID: ")


def performance(ctx, t):
    for codec in CODECS:
        with ctx.case(f"producer-perf-test: 20,000 records, {codec}"):
            done = t("producer-perf-test", "--topic", f"perf-{codec}", "--num-records", 20000,
                     "--record-size", 1024, "--throughput", -1, "--command-property",
                     f"compression.type={codec}", "acks=all")
            has(done, "20000 records sent")
        with ctx.case(f"consumer-perf-test: reads them back, {codec}"):
            done = t("consumer-perf-test", "--topic", f"perf-{codec}", "--num-records", 20000,
                     "--timeout", 20000)
            cells = [c.strip() for c in done.out.splitlines()[-1].split(",")]
            assert int(cells[4]) >= 20000, done
    with ctx.case("e2e-latency: 500 round trips"):
        t.create("latency")
        done = t("e2e-latency", "--bootstrap-server", t.broker.address, "--topic", "latency",
                 "--num-records", 500, "--producer-acks", "all", "--record-size", 100)
        has(done, "Percentiles: 50th")


def verifiable(ctx, t):
    def events(done):
        return [json.loads(x) for x in done.out.splitlines() if x.startswith("{")]

    with ctx.case("verifiable-producer: every record is acknowledged"):
        t.create("verified", 2)
        done = t("verifiable-producer", "--topic", "verified", "--max-messages", 1000, "--acks", -1)
        rows = events(done)
        assert sum(e["name"] == "producer_send_success" for e in rows) == 1000, done
        assert any(e.get("acked") == 1000 for e in rows), rows[-2:]
    with ctx.case("verifiable-consumer: every record is read once and committed"):
        done = t("verifiable-consumer", "--topic", "verified", "--group-id", "verify",
                 "--max-messages", 1000, "--reset-policy", "earliest")
        rows = events(done)
        assert sum(e["count"] for e in rows if e["name"] == "records_consumed") == 1000, done
        assert any(e["name"] == "offsets_committed" and e["success"] for e in rows), done
        final = t("consumer-groups", "--describe", "--group", "verify").out
        lags = re.findall(r"verify\s+verified\s+\d\s+\d+\s+\d+\s+(\d+)", final)
        assert lags and set(lags) == {"0"}, final


SUITE = harness.Suite("kafka-tools", run, needs=(needs.kafka,), minutes=8,
                      about="Apache Kafka's own command-line tools")
