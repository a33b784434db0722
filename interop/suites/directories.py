"""A directory that Apache Kafka wrote, served by Kring, and served by Apache Kafka again: topics with
ids and settings, every batch byte for byte at both isolation levels, the lists of aborted
transactions, offsets by time, committed offsets. Once after a clean stop, once after kill -9."""

import re
import time

from kit import harness, needs, paths, polling, procs, target

PROGRAM = paths.INTEROP / "directories-java" / "Directories.java"
# Snapshots of the metadata log at every turn, small segments of it, and a cleaner that does not wait.
PROPS = {
    "num.partitions": 1, "offsets.topic.num.partitions": 3, "transaction.state.log.num.partitions": 2,
    "metadata.log.max.record.bytes.between.snapshots": 2000,
    "internal.metadata.log.segment.bytes": 4000, "metadata.max.retention.bytes": 8000,
    "log.cleaner.backoff.ms": 100, "log.initial.task.delay.ms": 100,
    "log.retention.check.interval.ms": 1000, "group.initial.rebalance.delay.ms": 0,
}
# What is told, by its first word.
KINDS = ("topic", "configs", "leader", "offset", "fetch", "committed")
# The records of `table` but the last, which ends the segment that they are in.
TABLE_DIRTY = 126
# Beyond the batch with the largest time of `late-kept` and `late-gone`.
LATE_DIRTY = 5


class Successor(target.KringBroker):
    """Kring with the server.properties of a Kafka broker that has stopped, in its directory."""

    def __init__(self, ctx, before):
        super().__init__(ctx.options.kring, ctx.options.kring_args, name=ctx.suite.name,
                         log_dir=ctx.logs, port=before.port)
        self.conf, self.data, self.began_ms = before.conf, before.data, before.began_ms

    def command(self):
        self.ready_file.unlink(missing_ok=True)
        return [self.binary, "start", "--config", self.conf, "--ready-file", self.ready_file, *self.extra]


class Formatted(target.KafkaBroker):
    """A directory as kafka-storage leaves it for a quorum that may change, the way to begin that Kafka recommends."""

    began_ms = 0

    def _configure(self):
        super()._configure()
        procs.remove(self.data)
        text = self.conf.read_text().replace("controller.quorum.voters=1@", "controller.quorum.bootstrap.servers=")
        self.conf.write_text(text)
        done = procs.run(needs.java("kafka.tools.StorageTool", "format", "--standalone", "-t",
                                    needs.random_uuid(), "-c", self.conf))
        assert done.code == 0, f"format failed: {done}"


def run(ctx):
    formatted_only(ctx)
    for end in ("a clean stop", "kill -9"):
        there_and_back(ctx, end)


def formatted_only(ctx):
    kafka = Formatted(ctx.suite.name, ctx.logs)
    ctx.brokers.append(kafka)
    first = Successor(ctx, kafka) if ctx.options.target == "kring" else kafka
    with ctx.case("another broker starts in a directory that was formatted and nothing else"):
        start(ctx, first)
    code = first.stop()
    with ctx.case("Apache Kafka starts in it again, with the features that its format has chosen"):
        assert code in (0, 143), f"exit code {code}"
        kafka.start()
        rows = dict(line.split("\t") for line in tell(ctx, kafka, "features").splitlines())
        for feature in ("group.version", "kraft.version", "share.version", "transaction.version"):
            assert int(rows.get(feature, 0)) > 0, rows
        assert rows["metadata.version"] == "30", rows
    kafka.stop()


def there_and_back(ctx, end):
    kafka = ctx.broker("kafka", **{key.replace(".", "__"): value for key, value in PROPS.items()})
    # Later than every marker, which has the time at which it is written: so records alone end a segment.
    kafka.began_ms = int(time.time() * 1000) + 600_000
    with ctx.case(f"Apache Kafka fills a directory ({end})"):
        tell(ctx, kafka, "fill")
        wait_until_clean(kafka)
        wanted = facts(ctx, kafka, f"1-kafka, {end}")
    stop(kafka, end)
    with ctx.case(f"Apache Kafka has left what this is about ({end})"):
        check_content(kafka.data)
    keep(kafka, ctx.logs / f"directory, {end}")
    kring = Successor(ctx, kafka) if ctx.options.target == "kring" else kafka
    if ctx.options.target == "kring":
        with ctx.case(f"kring log dump says of Kafka's own topics what kafka-dump-log says ({end})"):
            compare_dumps(ctx, kafka.data)
    with ctx.case(f"another broker starts in it ({end})"):
        start(ctx, kring)
    compare_all(ctx, wanted, facts(ctx, kring, f"2-target, {end}"), f"after {end} of Kafka")
    with ctx.case(f"it takes more records, topics, settings and commits ({end})"):
        tell(ctx, kring, "more")
        wanted = facts(ctx, kring, f"3-target, {end}")
    with ctx.case(f"a clean stop of it ({end})"):
        code = kring.stop()
        assert code in (0, 143), f"exit code {code}"
    if ctx.options.target == "kring":
        with ctx.case(f"kring log dump and kafka-dump-log agree on what it has written, too ({end})"):
            compare_dumps(ctx, kafka.data)
    with ctx.case(f"Apache Kafka starts in the directory again ({end})"):
        kafka.start()
    compare_all(ctx, wanted, facts(ctx, kafka, f"4-kafka, {end}"), f"Kafka again, {end}")
    kafka.stop()


def start(ctx, broker):
    if broker not in ctx.brokers:
        ctx.brokers.append(broker)
    broker.start()


def stop(broker, end):
    if end == "kill -9":
        return broker.kill9()
    code = broker.stop()
    assert code in (0, 143), f"exit code {code}"


def keep(broker, folder):
    """What Kafka left, for whoever looks into a failure."""
    procs.run(["cp", "-a", broker.data, folder])


def tell(ctx, broker, what):
    done = procs.run(needs.java(PROGRAM, what, broker.port, broker.began_ms, heap="512m"),
                     timeout=ctx.left_s(150))
    assert done.code == 0, done
    return done.out


def facts(ctx, broker, name):
    text = tell(ctx, broker, "ask")
    (ctx.logs / f"{name}.txt").write_text(text)
    rows = [line.split("\t") for line in text.splitlines()]
    assert rows, "nothing was told"
    return dict(rows)


def compare_all(ctx, wanted, got, when):
    with ctx.case(f"nothing else is told ({when})"):
        assert len(wanted) == sum(len(of_kind(wanted, kind)) for kind in KINDS)
    for kind in KINDS:
        with ctx.case(f"the same {kind} facts ({when})"):
            compare(of_kind(wanted, kind), of_kind(got, kind))


def of_kind(facts, kind):
    return {what: fact for what, fact in facts.items() if what.startswith(kind + " ")}


def compare(wanted, got):
    assert wanted, "there are none"
    told = [f"{what}\n        before {wanted.get(what)}\n        now    {got.get(what)}"
            for what in dict.fromkeys([*wanted, *got]) if wanted.get(what) != got.get(what)]
    assert not told, f"{len(told)} differ\n      " + "\n      ".join(told[:8])


def check_content(data):
    """Segments, transactions aborted in several of them, and metadata that only a snapshot has."""
    logs = {name: sorted((data / name).glob("*.log")) for name in ("codec-zstd-0", "ledger-0", "table-0")}
    assert len(logs["codec-zstd-0"]) > 5 and len(logs["ledger-0"]) > 10, logs
    assert len(list((data / "ledger-0").glob("*.txnindex"))) > 3
    assert logs["table-0"][0].stat().st_size < 1500, "it was not cleaned"
    metadata = data / "__cluster_metadata-0"
    assert list(metadata.glob("*.checkpoint")), "no snapshot"


def compare_dumps(ctx, data):
    """Every line of every segment, but what is no batch any more at the end of a log that was not closed."""
    seen = 0
    for name, decoder in (("__consumer_offsets", "--offsets-decoder"),
                          ("__cluster_metadata", "--cluster-metadata-decoder")):
        logs = [str(log) for log in sorted(data.glob(f"{name}-*/*.log"))]
        ours = procs.run([ctx.options.kring, "log", "dump", decoder, *logs])
        theirs = procs.run(needs.java("org.apache.kafka.tools.DumpLogSegments", decoder, "--files", ",".join(logs)))
        ours, theirs = (dumped(done.out.splitlines()) for done in (ours, theirs))
        differ = [pair for pair in zip(theirs, ours) if pair[0] != pair[1]]
        assert not differ, "\n".join(f"kafka {a}\nkring {b}" for a, b in differ[:3])
        assert len(ours) == len(theirs), f"{len(ours)} lines, {len(theirs)} of kafka-dump-log"
        seen += sum(" payload: {" in line for line in ours)
    assert seen > 20, f"{seen} records"


def dumped(lines):
    return [line for line in lines if line.startswith(("baseOffset: ", "| offset: "))]


def wait_until_clean(broker):
    path = broker.data / "cleaner-offset-checkpoint"

    def is_clean(topic, upto):
        found = re.search(rf"^{topic} 0 (\d+)$", path.read_text() if path.exists() else "", re.MULTILINE)
        return found and int(found[1]) >= upto
    for topic, upto in (("table", TABLE_DIRTY), ("late-kept", LATE_DIRTY), ("late-gone", LATE_DIRTY)):
        polling.until(f"{topic} is clean", lambda: is_clean(topic, upto), 60)


SUITE = harness.Suite("directories", run, needs=(needs.kafka,), minutes=6,
                      about="a directory of Apache Kafka's, served by Kring and by Kafka again")
