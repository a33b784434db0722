"""What is measured. Each measure is one function that loads one broker once and returns its figures
by name; the unit is the end of the name. Nothing here knows which broker it is."""

import time

from kit import needs

from . import raw, sides

GB = 1e9
MIB = 1 << 20
PARTITIONS = 6


class Measure:
    def __init__(self, name, function, modes=(sides.CACHE, sides.FLUSHED), kinds=sides.KINDS, needs=()):
        self.name, self.function, self.modes, self.kinds, self.needs = name, function, modes, kinds, needs


def at_rest(bench):
    """Start, memory and CPU of a broker that nobody uses."""
    found = {"start to first record, ms": bench.start_until_first_record()}
    time.sleep(1 if bench.short else 10)
    began, before = time.monotonic(), bench.cpu_s()
    time.sleep(2 if bench.short else 20)
    found["idle CPU, % of a core"] = 100 * (bench.cpu_s() - before) / (time.monotonic() - began)
    found["idle memory, MiB"] = bench.resident_mib()
    return found


def many_records(bench):
    """So many that the first seconds of a client's JVM are not most of the run."""
    if bench.short:
        return 20_000
    return 300_000 if bench.mode == sides.FLUSHED else 1_000_000


def standard_clients(bench):
    """Apache Kafka's own tools: 1 KiB records, the producer's defaults; then kill -9 and start."""
    bench.start()
    records = many_records(bench)
    size = records * 1024
    bench.load("produce", "--topic", "load", "--partitions", PARTITIONS, "--count", 1, "--max", "--warm-up", 0)
    # Warms the broker's JVM. The client's is a new one each time.
    bench.producer_perf("load", records)
    before = bench.cpu_s()
    rate, p99 = bench.producer_perf("load", records)
    found = {"produce, MB/s": rate, "produce p99, ms": p99,
             "produce, broker CPU s per GB": (bench.cpu_s() - before) / (size / GB)}
    bench.consumer_perf("load", records)
    before = bench.cpu_s()
    found["consume, MB/s"] = bench.consumer_perf("load", records)
    found["consume, broker CPU s per GB"] = (bench.cpu_s() - before) / (size / GB)
    found["memory after, MiB"] = bench.resident_mib()
    bench.kill9()
    found["kill -9 to first record, ms"] = bench.start_until_first_record()
    return found


def end_to_end(bench):
    """Latency from the intended send time to receipt, at rates that both brokers can carry."""
    bench.start()
    found = {}
    for share, rate in rates(bench):
        result = bench.load("e2e", "--topic", "load", "--partitions", PARTITIONS, "--rate", rate,
                            "--record-size", 1024, "--linger-ms", 5, "--threads", 1, *seconds(bench))
        received = result["latencies"]["received"]
        for name, key in (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p99_9_ms"), ("p99.99", "p99_99_ms")):
            found[f"{share} end to end {name}, ms"] = received[key]
    return found


def rates(bench):
    """10, 50 and 80 % of what the slower broker took of kafka-producer-perf-test in the same mode; by their defaults,
    of what it took through the page cache."""
    mode = sides.CACHE if bench.mode == sides.DEFAULTS else bench.mode
    limit = bench.results.slowest("standard clients", mode, "produce, MB/s")
    if limit is None:
        return [("at 1000/s", 1000)]
    records = limit * 1e6 / 1024
    return [(f"at {percent} %", max(1, int(records * percent / 100))) for percent in (10, 50, 80)]


def small_requests(bench):
    """Records of 100 bytes, one a request, from 64 connections."""
    bench.start()
    result, made, used = bench.produced(
        "produce", "--topic", "load", "--partitions", PARTITIONS, "--max", "--producers", 64, "--batch-records", 1,
        "--record-size", 100, "--in-flight", 5, "--threads", 1, *seconds(bench))
    return {"small requests, per s": made["records_per_s"],
            "small requests, per s and broker core": made["records_per_s"] / used,
            "small requests p99, ms": result["latencies"]["acknowledged"]["p99_ms"]}


def large_batches(bench):
    """Batches of 1 MiB from one producer."""
    bench.start()
    megabytes_per_s, cores = fast(bench, "--batch-bytes", MIB)
    found = {"batches of 1 MiB, MB/s": megabytes_per_s,
             "batches of 1 MiB, broker CPU s per GB": cores / (megabytes_per_s / 1000)}
    if bench.flushes:
        disk = raw.megabytes_per_s(bench.broker.base, files=PARTITIONS, piece=MIB, seconds=1 if bench.short else 5)
        found["raw disk writer, MB/s"] = disk
        found["batches of 1 MiB, of the raw disk writer's MB/s"] = megabytes_per_s / disk
    return found


def fast(bench, *args):
    """Megabytes a second that one thread of the load generator gets rid of, and cores that the broker uses for them."""
    _, made, cores = bench.produced("produce", "--topic", "load", "--partitions", PARTITIONS, "--max", *args,
                                    "--threads", 1, *seconds(bench))
    return made["megabytes_per_s"], cores


def seconds(bench):
    """How long a load lasts, and its warm-up."""
    return ["--duration", 2, "--warm-up", 1] if bench.short else ["--duration", 15, "--warm-up", 5]


def one_partition(bench):
    """Everything into one partition."""
    bench.start()
    _, made, _ = bench.produced("produce", "--topic", "one", "--partitions", 1, "--max", "--producers", 4,
                                "--threads", 1, *seconds(bench))
    return {"one partition, MB/s": made["megabytes_per_s"]}


def many_partitions(bench):
    """A topic of many partitions, made and written to."""
    bench.start()
    count = 100 if bench.short else 1000
    began = time.monotonic()
    bench.load("produce", "--topic", "many", "--partitions", count, "--count", count, "--max", "--warm-up", 0)
    return {f"{count} partitions made and written, ms": (time.monotonic() - began) * 1000,
            f"{count} partitions, memory, MiB": bench.resident_mib()}


def many_connections(bench):
    """A thousand connections that do nothing."""
    bench.start()
    before = bench.resident_mib()
    result = bench.load("connections", "--connections", 1000, "--connect-rate", 500, "--threads", 1,
                        "--duration", 5 if bench.short else 10)
    answered = result["latencies"]["first answer (ApiVersions)"]
    return {"1000 connections, first answer p99, ms": answered["p99_ms"],
            # A JVM may give back some meanwhile.
            "1000 connections, memory more, MiB": max(0.0, bench.resident_mib() - before)}


def history_beside_producers(bench):
    """Producers at a fixed rate while the history is read again and again."""
    bench.start()
    bench.load("produce", "--topic", "load", "--partitions", PARTITIONS, "--max", "--batch-bytes", 1 << 20,
               "--warm-up", 0, "--duration", 1 if bench.short else 5)
    result = bench.load("mixed", "--topic", "load", "--rate", 1000, "--threads", 1, *seconds(bench))
    return {"beside history: acknowledged p99, ms": result["latencies"]["acknowledged"]["p99_ms"],
            "beside history: received p99, ms": result["latencies"]["received"]["p99_ms"],
            "history, MB/s": result["amounts"]["history"]["megabytes_per_s"]}


def end_to_end_tool(bench):
    """Apache Kafka's own tool for latency: one record at a time, sent, acknowledged and received."""
    bench.start()
    bench.make_topic("alone", 1)
    records = 500 if bench.short else 5000
    # The tool warms nothing; its percentiles are of all records, the first of its JVM among them.
    average, middle, p99, p999 = bench.e2e_latency("alone", records)
    return {"kafka-e2e-latency average, ms": average, "kafka-e2e-latency p50, ms": middle,
            "kafka-e2e-latency p99, ms": p99, "kafka-e2e-latency p99.9, ms": p999}


def librdkafka(bench):
    """librdkafka's own load program: 1 KiB records, its producer's defaults; then a consumer group of one."""
    bench.start()
    bench.make_topic("rdkafka", PARTITIONS)
    records = many_records(bench)
    size = records * 1024
    bench.rdkafka_produce("rdkafka", records)
    before = bench.cpu_s()
    found = {"librdkafka produce, MB/s": bench.rdkafka_produce("rdkafka", records)}
    found["librdkafka produce, broker CPU s per GB"] = (bench.cpu_s() - before) / (size / GB)
    before = bench.cpu_s()
    # What both passes produced.
    found["librdkafka consume, MB/s"] = bench.rdkafka_consume("rdkafka", 2 * records)
    found["librdkafka consume, broker CPU s per GB"] = (bench.cpu_s() - before) / (2 * size / GB)
    return found


def shards(bench):
    """Kring with one shard and with two: megabytes a second for each core that the broker uses."""
    found = {}
    for count in (1, 2):
        bench.start_anew("--shards", count)
        megabytes_per_s, cores = fast(bench)
        found[f"{count} shards, MB/s"] = megabytes_per_s
        found[f"{count} shards, MB/s per broker core"] = megabytes_per_s / cores
    found["2 shards against 1, part per broker core"] = (
        found["2 shards, MB/s per broker core"] / found["1 shards, MB/s per broker core"])
    return found


# In this order: the first starts the broker, and "end to end" takes its rates from what came before it. In short all
# of them follow one another on one broker.
ALL = (
    Measure("at rest", at_rest, modes=[sides.DEFAULTS]),
    Measure("standard clients", standard_clients),
    Measure("end to end", end_to_end, modes=sides.MODES),
    Measure("kafka-e2e-latency", end_to_end_tool, modes=sides.MODES),
    Measure("librdkafka", librdkafka, needs=[needs.rdkafka_performance]),
    Measure("small requests", small_requests),
    Measure("large batches", large_batches),
    Measure("one partition", one_partition),
    Measure("many partitions", many_partitions, modes=[sides.DEFAULTS]),
    Measure("many connections", many_connections, modes=[sides.DEFAULTS]),
    Measure("history beside producers", history_beside_producers),
    Measure("shards", shards, kinds=["kring"]),
)
NAMES = [name for m in ALL for name in (m.name, *(f"{m.name}:{mode}" for mode in m.modes))]
