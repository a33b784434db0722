"""A broker to be measured, pinned where asked, with the settings that its label says; and the clients
that load it. Both brokers get their own defaults but for the durability."""

import json
import os
import re
import time

from kit import needs, procs, target, tools

KINDS = ("kafka", "kring")
# Answered from the page cache; when the records are on the disk; and each broker by its own default, which is the first
# for Kafka and the second for Kring.
CACHE, FLUSHED, DEFAULTS = "page cache", "flushed", "defaults"
MODES = (CACHE, FLUSHED, DEFAULTS)
NEVER = "9223372036854775807"
# As bin/kafka-server-start.sh of Apache Kafka 4.3.1 starts it.
KAFKA_JVM = ["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
             "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
             "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"]
TICKS = os.sysconf("SC_CLK_TCK")


def pinned(cpus, argv):
    return ["taskset", "-c", cpus, *argv] if cpus else argv


class Kafka(target.KafkaBroker):
    cpus = None

    def command(self):
        return pinned(self.cpus, ["java", *KAFKA_JVM, *needs.logging("warn"), "-cp",
                                  needs.kafka_class_path(), "kafka.Kafka", self.conf])


class Kring(target.KringBroker):
    cpus = None

    def command(self):
        return pinned(self.cpus, super().command())


class Bench:
    """One broker under one measure, once."""

    def __init__(self, kind, mode, options, results):
        self.kind, self.mode, self.options, self.results = kind, mode, options, results
        self.short = options.short
        self.logs = options.out / "logs"
        self.broker = None

    def __enter__(self):
        self.make()
        return self

    def __exit__(self, *_):
        self.broker.close()

    @property
    def flushes(self):
        """Whether acks=all is answered when the records are on the disk."""
        return self.mode == FLUSHED or (self.mode == DEFAULTS and self.kind == "kring")

    # --- the broker ---

    def make(self, *args):
        """A broker in a new directory, not started; `args` are of Kring's command line."""
        flush = {"log.flush.interval.messages": "1" if self.flushes else NEVER}
        if self.kind == "kafka":
            self.broker = Kafka("compare", self.logs, flush)
        else:
            self.broker = Kring(self.options.kring, args, "compare", self.logs, flush, port=target.free_port())
        self.broker.cpus = self.options.broker_cpus

    def start(self):
        """Unless a measure before this one has."""
        if not self.broker.alive():
            self.broker.start()

    def start_anew(self, *args):
        self.broker.close()
        self.make(*args)
        self.broker.start()

    def start_until_first_record(self):
        """Milliseconds from the start of the process to the acknowledgement of a record."""
        began = time.monotonic()
        self.broker.child = procs.spawn(self.broker.command(), stdin=procs.subprocess.DEVNULL,
                                        stdout=procs.subprocess.DEVNULL, stderr=procs.subprocess.DEVNULL)
        argv = self.load_argv("produce", "--topic", "first", "--partitions", 1, "--count", 1, "--max",
                              "--warm-up", 0, "-q")
        while procs.run(argv, timeout=60).code != 0:
            assert self.broker.alive(), "the broker has ended"
            assert time.monotonic() - began < 90, "no record was taken"
            time.sleep(0.005)
        return (time.monotonic() - began) * 1000

    def kill9(self):
        self.broker.kill9()

    def cpu_s(self):
        """CPU time of the broker's process so far; threads of the kernel that flush for it are not in it."""
        text = open(f"/proc/{self.broker.child.pid}/stat", encoding="ascii").read()
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / TICKS

    def resident_mib(self):
        text = open(f"/proc/{self.broker.child.pid}/status", encoding="ascii").read()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024

    # --- its clients ---

    def load_argv(self, *args):
        argv = [self.options.loadgen, args[0], "--server", self.broker.address, *map(str, args[1:])]
        return pinned(self.options.client_cpus, argv)

    def load(self, *args, timeout=300):
        """The result of kring-loadgen, as its JSON."""
        path = self.broker.base / "load.json"
        done = procs.run(self.load_argv(*args, "--json", path), timeout=timeout)
        # A run in which something failed measured something else.
        if done.code != 0:
            raise RuntimeError(str(done))
        return json.loads(path.read_text())

    def produced(self, *args):
        """The same, of a workload that produces; what it produced; and how many cores the broker used, whose warm-up
        costs as much a second as the rest."""
        before = self.cpu_s()
        result = self.load(*args)
        used = (self.cpu_s() - before) / (result["measured_s"] + result["warm_up_s"])
        if "produced" not in result["amounts"]:
            raise RuntimeError("nothing was acknowledged")
        return result, result["amounts"]["produced"], used

    def make_topic(self, name, partitions):
        self.load("produce", "--topic", name, "--partitions", partitions, "--count", 1, "--max", "--warm-up", 0)

    def tool(self, name, *args, timeout=600):
        """What one of Apache Kafka's own tools prints, in a JVM that compiles well."""
        command = needs.java(tools.MAIN[name], *map(str, args), heap="1g", quick=False)
        done = procs.run(pinned(self.options.client_cpus, command), timeout=timeout)
        if done.code != 0:
            raise RuntimeError(str(done))
        return done.out

    def producer_perf(self, topic, records):
        """Megabytes a second and the p99 in ms, of kafka-producer-perf-test with its defaults and acks=all."""
        out = self.tool("kafka-producer-perf-test", "--topic", topic, "--num-records", records,
                        "--record-size", 1024, "--throughput", -1, "--producer-props",
                        f"bootstrap.servers={self.broker.address}", "acks=all")
        last = out.strip().splitlines()[-1]
        seconds = records / float(re.search(r"([\d.]+) records/sec", last).group(1))
        p99 = float(re.search(r"([\d.]+) ms 99th", last).group(1))
        return records * 1024 / 1e6 / seconds, p99

    def consumer_perf(self, topic, records):
        """Megabytes a second that kafka-consumer-perf-test fetches."""
        out = self.tool("kafka-consumer-perf-test", "--bootstrap-server", self.broker.address, "--topic",
                        topic, "--num-records", records, "--timeout", 60000)
        row = out.strip().splitlines()[-1].split(", ")
        return float(row[8]) * 1.048576

    def e2e_latency(self, topic, records):
        """Milliseconds by kafka-e2e-latency with acks=all: average, p50, p99, p99.9."""
        out = self.tool("kafka-e2e-latency", "--bootstrap-server", self.broker.address, "--topic", topic,
                        "--num-records", records, "--producer-acks", "all", "--record-size", 1024)
        average = re.search(r"Avg latency: ([\d.]+) ms", out).group(1)
        parts = re.search(r"50th = ([\d.]+), 99th = ([\d.]+), 99.9th = ([\d.]+)", out)
        return [float(found) for found in (average, *parts.groups())]

    def rdkafka(self, *args):
        command = [needs.rdkafka_performance(), "-b", self.broker.address, "-q", *map(str, args)]
        done = procs.run(pinned(self.options.client_cpus, command), timeout=600)
        if done.code != 0:
            raise RuntimeError(str(done))
        return done.text

    def rdkafka_produce(self, topic, records):
        """Megabytes a second that rdkafka_performance had acknowledged by all."""
        return last_rate(self.rdkafka("-P", "-t", topic, "-s", 1024, "-c", records, "-a", -1))

    def rdkafka_consume(self, topic, records):
        """Megabytes a second that rdkafka_performance reads as a group of its own."""
        return last_rate(self.rdkafka("-G", f"compare-{time.monotonic_ns()}", "-t", topic, "-o", "beginning", "-c", records,
                                      "-X", "auto.offset.reset=earliest"))


def last_rate(text):
    return float(re.findall(r"([\d.]+) MB/s", text)[-1])
