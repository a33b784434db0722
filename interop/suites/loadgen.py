"""Our own load generator: each of its workloads for about two seconds, judged by the JSON that it writes.
That the same suite passes against Apache Kafka says that its client speaks Kafka's protocol; Kafka's own producer and
consumer check where its keys go."""

import json
import pathlib
import signal
import subprocess
import threading
import time

from kit import harness, procs, target

LOAD = ["--warm-up", "0.5", "--duration", "2", "--threads", "1"]
E2E = ["--producers", "2", "--verify", *LOAD]
PARTITIONS = 6


def run(ctx):
    broker = ctx.broker(port=target.free_port(), num__partitions=PARTITIONS)
    load = Load(ctx, broker)
    producing(ctx, load)
    receiving(ctx, load)
    topics(ctx, load)
    keys(ctx, load)
    groups(ctx, load)
    connections(ctx, load)
    with ctx.case("an idempotent run goes on through a kill -9 and loses, doubles and swaps nothing"):
        through_a_kill(load, broker)
    interrupted(ctx, load)
    with ctx.case("what is asked for in vain is said in one sentence"):
        done = load.start("produce", "--topic", "absent", "--max")
        assert done.code == 1 and done.err.count("\n") == 1 and "--partitions" in done.err, str(done)


class Load:
    """Runs kring-loadgen, which is built beside the broker."""

    def __init__(self, ctx, broker):
        self.ctx, self.broker, self.runs = ctx, broker, 0
        self.program = ctx.options.loadgen
        if not self.program.is_file():
            raise harness.SuiteOver(f"{self.program} is missing (cargo build --release -p kring-loadgen, or --loadgen PATH)")

    def start(self, workload, *args):
        argv = [self.program, workload, "--server", self.broker.address, *map(str, args)]
        return procs.run(argv, timeout=self.ctx.left_s(90))

    def interrupted(self, sent, code, *args, after_s=2):
        """The result of a run that is sent a signal a while after it began."""
        self.runs += 1
        path = self.ctx.logs / f"{self.runs}-interrupted.json"
        argv = [self.program, *map(str, args), "--server", self.broker.address, "--topic", "made", "--json", path]
        child = procs.spawn(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after_s)
        found = procs.reap(child, sig=sent, grace_s=self.ctx.left_s(60))
        assert found == code, found
        return json.loads(path.read_text())

    def __call__(self, workload, *args, code=0):
        """The result of a run that ends with this exit code."""
        self.runs += 1
        path = self.ctx.logs / f"{self.runs}-{workload}.json"
        done = self.start(workload, *args, "--json", path)
        assert done.code == code and not done.timed_out, str(done)
        return json.loads(pathlib.Path(path).read_text())


def good(result, measure):
    """Nothing failed, and this was measured; returns its figures."""
    assert not result["errors"] and not result["unsent"], (result["errors"], result["unsent"])
    figures = result["latencies"][measure]
    assert figures["count"] > 0 and 0 < figures["p50_ms"] <= figures["p99_9_ms"] <= figures["max_ms"], figures
    return figures


def about(found, wanted, part=0.15):
    assert abs(found - wanted) <= part * wanted, f"{found}, wanted about {wanted}"


def producing(ctx, load):
    with ctx.case("produce at a rate, constant and Poisson, sends that many records"):
        for arrivals in ("constant", "poisson"):
            result = load("produce", "--topic", "made", "--partitions", PARTITIONS, "--rate", 1000,
                          "--arrivals", arrivals, *LOAD)
            about(good(result, "acknowledged")["count"], 2000)
    with ctx.case("produce as fast as the broker answers, in every codec"):
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            result = load("produce", "--topic", "made", "--max", "--compressible", "--codec", codec, *LOAD)
            good(result, "acknowledged")
    with ctx.case("produce without acknowledgements, and with the leader's alone"):
        for acks in ("0", "1"):
            good(load("produce", "--topic", "made", "--rate", 1000, "--acks", acks, *LOAD), "acknowledged")
    with ctx.case("many small requests: one record of 100 bytes each from 64 producers"):
        result = load("produce", "--topic", "made", "--max", "--producers", 64, "--batch-records", 1,
                      "--record-size", 100, "--in-flight", 5, *LOAD)
        good(result, "acknowledged")
        amount = result["amounts"]["produced"]
        assert amount["records"] == amount["requests"], amount
    with ctx.case("a count ends the run"):
        result = load("produce", "--topic", "made", "--max", "--warm-up", 0, "--count", 5000)
        assert result["amounts"]["produced"]["records"] == 5000, result["amounts"]


def receiving(ctx, load):
    with ctx.case("consume reads the topic to its end, or as many records as asked"):
        result = load("consume", "--topic", "made")
        good(result, "fetched")
        everything = result["amounts"]["consumed"]["records"]
        assert everything > 12000, everything
        some = load("consume", "--topic", "made", "--count", 1000, "--fetch-bytes", 4096)
        assert 1000 <= some["amounts"]["consumed"]["records"] < everything, some["amounts"]
    with ctx.case("e2e: keys, a distribution of sizes, lingering, compression: verified"):
        result = load("e2e", "--topic", "made", "--rate", 2000, "--keys", 1000, "--key-skew", 1, "--linger-ms", 5,
                      "--record-size", "p50=200,p99=2000,max=5000", "--codec", "zstd", "--idempotence", *E2E)
        about(good(result, "received")["count"], 4000)
        assert result["verified"]["good"] and result["verified"]["acknowledged"] >= 4000, result["verified"]
    with ctx.case("mixed: producers, followers and readers of history, each measured apart"):
        result = load("mixed", "--topic", "made", "--rate", 1000, *E2E)
        for measure in ("acknowledged", "received", "fetched", "history fetch round trip"):
            good(result, measure)
        assert result["amounts"]["history"]["records"] > 0 and result["verified"]["good"], result["verified"]


def topics(ctx, load):
    several = ["--topic", "many", "--topics", 5]
    with ctx.case("several topics in one run: made, verified, and read again with their history"):
        for more in (["--partitions", 3, "--keys", 100], ["--idempotence"]):
            result = load("e2e", *several, *more, "--rate", 2000, *E2E)
            about(good(result, "received")["count"], 4000)
            assert result["verified"]["good"] and result["verified"]["acknowledged"] >= 4000, result["verified"]
            assert result["settings"]["topics"] == "5", result["settings"]
        result = load("mixed", *several, "--rate", 1000, "--consumers", 2, *E2E)
        assert result["amounts"]["history"]["records"] > 0 and result["verified"]["good"], result["verified"]
        result = load("consume", *several)
        assert result["amounts"]["consumed"]["records"] > 9000, result["amounts"]
    with ctx.case("Kafka's own tools see about the same load in each of the topics, and some in every partition"):
        out = ctx.tool(load.broker, "kafka-get-offsets", "--topic", "many-.*").out
        ends = {}
        for line in out.split():
            topic, _, end = line.split(":")
            ends.setdefault(topic, []).append(int(end))
        assert sorted(ends) == [f"many-{n}" for n in range(5)], ends
        sums = [sum(partitions) for partitions in ends.values()]
        assert all(len(partitions) == 3 and min(partitions) > 0 for partitions in ends.values()), ends
        # Without keys batches take turns, not records.
        assert max(sums) < 1.5 * min(sums), sums
    with ctx.case("members of a group read several topics"):
        result = load("groups", *several, "--members", 3, "--change-every", 2, "--heartbeat-ms", 200,
                      "--commit-ms", 200, "--duration", 6, "--threads", 1)
        good(result, "offset commit")
        assert result["counts"]["rebalances"] >= 2, result["counts"]
        assert result["amounts"]["consumed"]["records"] > 9000, result["amounts"]


def keys(ctx, load):
    with ctx.case("a key goes where Kafka's own producer puts it"):
        size, count = 8, 40
        load("produce", "--topic", "keyed", "--partitions", PARTITIONS, "--rate", 500, "--keys", count,
             "--key-size", size, *LOAD)
        lines = "".join(f"{n:0{size}}:x\n" for n in range(1, count + 1))
        ctx.tool(load.broker, "kafka-console-producer", "--topic", "keyed", "--reader-property", "parse.key=true",
                 "--reader-property", "key.separator=:", stdin=lines)
        out = ctx.tool(load.broker, "kafka-console-consumer", "--topic", "keyed", "--from-beginning",
                       "--timeout-ms", 5000, "--formatter-property", "print.key=true",
                       "--formatter-property", "print.partition=true", "--formatter-property", "print.value=false",
                       code=None).out
        places = {}
        for line in out.splitlines():
            partition, key = line.split("\t")
            places.setdefault(key, set()).add(partition)
        assert len(places) == count, f"{len(places)} keys"
        apart = {key: found for key, found in places.items() if len(found) > 1}
        assert not apart, apart
        assert len(set().union(*places.values())) > 1, places


def groups(ctx, load):
    with ctx.case("groups: members join, leave and come back, and each rebalance is measured"):
        result = load("groups", "--topic", "made", "--members", 4, "--change-every", 2, "--heartbeat-ms", 200,
                      "--commit-ms", 200, "--duration", 8, "--threads", 1)
        for measure in ("all members join: rebalance", "a member leaves: rebalance", "a member joins: rebalance",
                        "heartbeat", "offset commit", "join", "sync", "leave"):
            good(result, measure)
        assert result["counts"]["rebalances"] >= 3, result["counts"]


def connections(ctx, load):
    shape = ["--connections", 200, "--connect-rate", 400, "--duration", 1.5, "--threads", 1]
    with ctx.case("connections: idle ones, and ones that ask now and then, stay open"):
        for use in ([], ["--every", 0.5]):
            result = load("connections", *shape, *use)
            good(result, "connect")
            good(result, "first answer (ApiVersions)")
            assert result["counts"]["connections open until the end"] == 200, result["counts"]
        assert good(result, "later answers (ApiVersions)")["count"] >= 400
    with ctx.case("connections: ones that read slowly get as much as they read"):
        result = load("connections", "--topic", "made", *shape[2:], "--connections", 10, "--slow-read", 20000)
        about(result["counts"]["bytes read slowly"], 10 * 20000 * 1.5, 0.3)
    with ctx.case("connections that the broker closes are counted"):
        strict = ctx.broker(**{"connections__max__idle__ms": 500})
        result = Load(ctx, strict)("connections", "--connections", 5, "--duration", 6, "--threads", 1, code=1)
        assert result["errors"] == {"closed by the broker": 5}, result["errors"]
        strict.stop()


def interrupted(ctx, load):
    with ctx.case("a run that is interrupted writes what it measured until then, and verifies it"):
        for sent, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            result = load.interrupted(sent, code, "e2e", "--rate", 1000, "--verify", "--warm-up", 0, "--duration", 60)
            assert result["interrupted"] and result["measured_s"] < 30, result["measured_s"]
            about(good(result, "received")["count"], 1000 * result["measured_s"])
            assert result["verified"]["good"], result["verified"]
    with ctx.case("a sweep that is interrupted writes the steps that are done"):
        result = load.interrupted(signal.SIGINT, 130, "sweep", "--p99", "10s", "--pause", "1ms", "e2e", "--rate", 100,
                                  "--warm-up", 0, "--duration", 1, after_s=4)
        assert result["interrupted"] and len(result["steps"]) in range(1, 5), result["steps"]


def through_a_kill(load, broker):
    """Apache Kafka needs up to 15 s to be back."""
    def interrupt():
        time.sleep(2)
        broker.kill9()
        broker.start()
    killer = threading.Thread(target=interrupt)
    killer.start()
    seconds = 5 if broker.kind == "kring" else 25
    result = load("e2e", "--topic", "made", "--rate", 1000, "--idempotence", "--producers", 2, "--verify",
                  "--threads", 1, "--warm-up", 0.5, "--duration", seconds)
    killer.join()
    assert result["verified"]["good"] and not result["errors"], (result["verified"], result["errors"])
    # A broker that is back late leaves no time to send all that was due: that is counted too.
    all_of_it = result["verified"]["acknowledged"] + result["unsent"]
    assert all_of_it == 1000 * seconds + 500 and result["verified"]["acknowledged"] > 2000, result["verified"]
    assert result["retries"], "nothing was interrupted"


SUITE = harness.Suite("loadgen", run, minutes=6, about="kring-loadgen: every workload for two seconds")
