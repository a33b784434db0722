"""Disks that fill up, and disks that break. The file systems are real, small, and on loop devices: filled to a given
byte, freed again, or shut down so that every operation ends in EIO."""

import json
import threading

from kit import disks, harness, needs, procs, target

from .crash import PARTITIONS, Load

MIB = 1 << 20
RECORDS = 3000


def broker_on(ctx, dirs, **props):
    """A broker whose `log.dirs` are given; not started yet."""
    props = {key.replace("__", "."): str(value) for key, value in props.items()}
    text = ",".join(str(path) for path in dirs)
    common = dict(name=ctx.suite.name, log_dir=ctx.logs, props=props)
    if ctx.options.target == "kafka":
        broker = target.KafkaBroker(**{**common, "props": {**props, "log.dirs": text}})
    else:
        broker = target.KringBroker(ctx.options.kring, ctx.options.kring_args, **common,
                                    port=target.free_port())
        broker.data = text
    ctx.brokers.append(broker)
    return broker


def log_of(broker):
    return broker.log_path.read_text(errors="replace")


def perf_test(ctx, broker, topic, records, size=1000):
    """Kafka's own producer, with patience. Fails unless every record is acknowledged."""
    done = ctx.tool(broker, "kafka-producer-perf-test", "--topic", topic, "--num-records", records, "--record-size", size,
                    "--throughput", -1, "--producer-props", "acks=all", "delivery.timeout.ms=200000",
                    "request.timeout.ms=5000", f"bootstrap.servers={broker.address}", timeout=240)
    assert f"{records} records sent" in done.out, str(done)
    assert "Exception" not in done.text, str(done)


class InBackground(threading.Thread):
    """A client that is at work while something happens to its broker."""

    def __init__(self, what):
        super().__init__(daemon=True)
        self.what, self.wrong = what, None
        self.start()

    def run(self):
        try:
            self.what()
        except Exception as error:  # told when it is waited for
            self.wrong = harness.describe(error)

    def finish(self, seconds):
        self.join(seconds)
        assert not self.is_alive(), f"still at work after {seconds} s"
        assert self.wrong is None, self.wrong


# --- a full disk ---

def full(ctx):
    if ctx.options.target == "kafka":
        return ctx.skip("a full disk is a state", "Kafka halts when its disk is full")
    base = procs.temp_dir("kring-interop-disk-full-")
    disk = disks.Disk(base, "disk", 400)  # a reserve of a twentieth: 20 MiB
    broker = broker_on(ctx, [disk.path / "data"], num__partitions=PARTITIONS, log__segment__bytes=4 * MIB,
                       log__segment__delete__delay__ms=1000).start()
    for topic, partitions in (("crash", PARTITIONS), ("spare", 1), ("patient", 1)):
        ctx.tool(broker, "kafka-topics", "--create", "--topic", topic, "--partitions", partitions)
    perf_test(ctx, broker, "spare", 40_000)
    load = Load(ctx, broker)
    try:
        load.wait_for_progress((0, 0), "the first records")
        reserve(ctx, disk, broker, load)
        to_the_brim(ctx, disk, broker, load)
        with ctx.case("after all this every record that was sent is there once and in order"):
            answer = load.ask("finish")
            assert answer.startswith("right "), answer
    finally:
        procs.reap(load.child)
    with ctx.case("a clean stop"):
        code = broker.stop()
        assert code in (0, 143), f"exit code {code}"


def reserve(ctx, disk, broker, load):
    disk.fill(leave=12 * MIB)
    with ctx.case("below the reserve records wait, while offsets are committed and records read"):
        wait_until_refused(broker, load)
        assert "the disk is full: produce is refused" in log_of(broker)
        answer = load.ask("verify")
        assert answer.startswith("right "), answer
    patient = InBackground(lambda: perf_test(ctx, broker, "patient", RECORDS))
    with ctx.case("below the reserve settings are changed, and topics deleted; service resumes by itself"):
        ctx.tool(broker, "kafka-configs", "--alter", "--entity-type", "topics", "--entity-name", "crash",
                 "--add-config", "retention.ms=100000000")
        before = load.acked()
        ctx.tool(broker, "kafka-topics", "--delete", "--topic", "spare")
        load.wait_for_progress(before, "acknowledgements after a topic has made room")
        assert "space has returned" in log_of(broker)
    with ctx.case("a Java producer that came meanwhile has waited and lost nothing"):
        patient.finish(120)
        ends = ctx.tool(broker, "kafka-get-offsets", "--topic", "patient").out.split()
        assert sum(int(line.split(":")[2]) for line in ends) == RECORDS, ends
    disk.release()


def wait_until_refused(broker, load):
    """Commits go on for a while in which no record is acknowledged."""
    state = {"since": load.acked()}

    def stands_still():
        records, commits = load.acked()
        if records != state["since"][0]:
            state["since"] = (records, commits)
        return commits >= state["since"][1] + 100
    procs.wait_until("no record is acknowledged, but offsets are", stands_still, 60)


def to_the_brim(ctx, disk, broker, load):
    """Without a reserve the writes themselves find no room."""
    broker.stop()
    broker.props["log.dir.reserve.bytes"] = "0"
    broker.start()
    load.wait_for_progress(load.acked(), "acknowledgements after the restart")
    with ctx.case("a disk filled to its last block ends nothing"):
        disk.fill(leave=0)
        procs.wait_until("a write finds no room", lambda: "writing waits" in log_of(broker), 60)
        acked = load.acked()[0]
        ends = ctx.tool(broker, "kafka-get-offsets", "--topic", "crash").out.split()
        assert sum(int(line.split(":")[2]) for line in ends) >= acked, (acked, ends)
    with ctx.case("and freed again it takes records by itself"):
        before = load.acked()
        disk.release()
        load.wait_for_progress(before, "acknowledgements after space has returned")
        assert "goes offline" not in log_of(broker)
        answer = load.ask("verify")
        assert answer.startswith("right "), answer


# --- a broken disk ---

def broken(ctx):
    base = procs.temp_dir("kring-interop-disk-broken-")
    first, second = disks.Disk(base, "first", 200), disks.Disk(base, "second", 200)
    broker = broker_on(ctx, [first.path / "data", second.path / "data"], num__partitions=8,
                       auto__create__topics__enable="false").start()
    ctx.tool(broker, "kafka-topics", "--create", "--topic", "t")
    perf_test(ctx, broker, "t", RECORDS)
    ends = end_offsets(ctx, broker, "t")
    assert sum(ends.values()) == RECORDS, ends
    with ctx.case("partitions are spread over the directories"):
        held = [partitions_in(ctx, broker, disk) for disk in (first, second)]
        assert all(len(partitions) >= 2 for partitions in held), held
    second.break_down()
    touch = InBackground(lambda: ctx.tool(broker, "kafka-producer-perf-test", "--topic", "t", "--num-records", 800,
                                          "--record-size", 10, "--throughput", -1, "--producer-props", "acks=all",
                                          "delivery.timeout.ms=6000", "request.timeout.ms=3000", "linger.ms=0",
                                          "partitioner.ignore.keys=true", "batch.size=16",
                                          f"bootstrap.servers={broker.address}", timeout=60, code=None))
    one_is_lost(ctx, broker, second, held)
    touch.finish(90)
    with ctx.case("a start without the broken directory serves the rest"):
        broker.stop()
        broker.start()
        leaders = leaders_of(ctx, broker, "t")
        assert led(leaders) == set(held[0]), leaders
    with ctx.case("a start with the directory mended serves all of it again"):
        broker.stop()
        second.repair()
        broker.start()
        procs.wait_until("every partition has a leader",
                         lambda: led(leaders_of(ctx, broker, "t")) == set(range(8)), 30)
        if ctx.options.target == "kring":  # Kafka has acknowledged what was in the page cache
            after = end_offsets(ctx, broker, "t")
            assert all(after[p] >= ends[p] for p in ends), (ends, after)
    with ctx.case("without the directory of the metadata the broker ends and says so"):
        broker.stopped_on_purpose = True
        first.break_down()
        touch = InBackground(lambda: ctx.tool(broker, "kafka-topics", "--create", "--topic", "last", code=None))
        code = broker.child.wait(60)
        assert code == 1, f"exit code {code}"
        if ctx.options.target == "kring":
            assert "the metadata log" in log_of(broker) or "its metadata log" in log_of(broker)


def one_is_lost(ctx, broker, second, held):
    with ctx.case("partitions of a broken directory have no leader, the others theirs"):
        procs.wait_until("no leader for what was there",
                         lambda: led(leaders_of(ctx, broker, "t")) == set(held[0]), 60)
    with ctx.case("kafka-log-dirs names the broken directory's error"):
        dirs = log_dirs(ctx, broker)
        wrong = [d["error"] for d in dirs if d["logDir"].startswith(str(second.path))]
        assert wrong and "KafkaStorageException" in str(wrong[0]), dirs
        assert [d["error"] for d in dirs if not d["logDir"].startswith(str(second.path))] == [None], dirs
    with ctx.case("new partitions go to the directory that is left, and work"):
        ctx.tool(broker, "kafka-topics", "--create", "--topic", "new")
        perf_test(ctx, broker, "new", RECORDS)
        assert sum(end_offsets(ctx, broker, "new").values()) == RECORDS


def leaders_of(ctx, broker, topic):
    """What kafka-topics says of each partition's leader."""
    out = ctx.tool(broker, "kafka-topics", "--describe", "--topic", topic).out
    rows = [dict(pair.split(": ", 1) for pair in line.strip().split("\t") if ": " in pair)
            for line in out.splitlines() if "\tPartition:" in line]
    return {int(row["Partition"]): row["Leader"] for row in rows}


def led(leaders):
    return {partition for partition, leader in leaders.items() if leader == "1"}


def end_offsets(ctx, broker, topic):
    lines = ctx.tool(broker, "kafka-get-offsets", "--topic", topic).out.split()
    return {int(line.split(":")[1]): int(line.split(":")[2]) for line in lines}


def log_dirs(ctx, broker):
    out = ctx.tool(broker, "kafka-log-dirs", "--describe").out
    return json.loads(out.splitlines()[-1])["brokers"][0]["logDirs"]


def partitions_in(ctx, broker, disk):
    names = [p["partition"] for d in log_dirs(ctx, broker) if d["logDir"].startswith(str(disk.path))
             for p in d["partitions"]]
    return sorted(int(name.rsplit("-", 1)[1]) for name in names if name.startswith("t-"))


FULL = harness.Suite("disk-full", full, needs=(needs.kafka, needs.python_clients, disks.need_root), minutes=6,
                     about="a small disk filled and freed again under load")
BROKEN = harness.Suite("disk-broken", broken, needs=(needs.kafka, disks.need_root), minutes=6,
                       about="log directories that fail")
