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
        is_cached = self.mode == CACHE or (self.mode == DEFAULTS and self.kind == "kafka")
        flush = {"log.flush.interval.messages": NEVER if is_cached else "1"}
        make = {"kafka": lambda: Kafka("compare", self.logs, flush),
                "kring": lambda: Kring(self.options.kring, [], "compare", self.logs, flush,
                                       port=target.free_port())}
        self.broker = make[self.kind]()
        self.broker.cpus = self.options.broker_cpus
        return self

    def __exit__(self, *_):
        self.broker.close()

    # --- the broker ---

    def start(self):
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
        if not path.exists():
            raise RuntimeError(str(done))
        return json.loads(path.read_text())

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
