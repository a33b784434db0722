"""Kafka's command-line tools under their usual names (without `.sh`)."""

import os
import threading

from . import needs, paths, procs

_T = "org.apache.kafka.tools."
MAIN = {
    "kafka-topics": _T + "TopicCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-producer": _T + "ConsoleProducer",
    "kafka-console-consumer": _T + "consumer.ConsoleConsumer",
    "kafka-consumer-groups": _T + "consumer.group.ConsumerGroupCommand",
    "kafka-groups": _T + "GroupsCommand",
    "kafka-producer-perf-test": _T + "ProducerPerformance",
    "kafka-consumer-perf-test": _T + "ConsumerPerformance",
    "kafka-e2e-latency": _T + "EndToEndLatency",
    "kafka-get-offsets": _T + "GetOffsetShell",
    "kafka-delete-records": _T + "DeleteRecordsCommand",
    "kafka-log-dirs": _T + "LogDirsCommand",
    "kafka-cluster": _T + "ClusterTool",
    "kafka-broker-api-versions": _T + "BrokerApiVersionsCommand",
    "kafka-verifiable-producer": _T + "VerifiableProducer",
    "kafka-verifiable-consumer": _T + "VerifiableConsumer",
    "kafka-dump-log": _T + "DumpLogSegments",
}
# Tools that name no broker, or name it otherwise.
NO_BOOTSTRAP = {"kafka-dump-log", "kafka-e2e-latency"}
# Tools that keep running for long enough to be worth compiling well.
LONG = {"kafka-producer-perf-test", "kafka-consumer-perf-test", "kafka-e2e-latency"}


_dumping = set()
_lock = threading.Lock()


def archive(tool):
    """JVM flags that make a tool start in half the time: its first run writes the classes that
    it loaded into an archive, later ones map that. Returns the flags and what to do at the end."""
    folder = paths.CACHE / "class-archives"
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / f"{tool}.jsa"
    quiet = ["-Xlog:disable"]
    if ready.exists():
        return [*quiet, f"-XX:SharedArchiveFile={ready}"], lambda: None
    with _lock:
        if tool in _dumping:
            return quiet, lambda: None
        _dumping.add(tool)
    fresh = folder / f"{tool}.{os.getpid()}.new"

    def finish():
        if fresh.exists():
            fresh.rename(ready)
        _dumping.discard(tool)

    return [*quiet, f"-XX:ArchiveClassesAtExit={fresh}"], finish


def argv(tool, args, bootstrap, flags=()):
    args = list(args)
    if tool not in NO_BOOTSTRAP and "--bootstrap-server" not in args:
        # kafka-cluster wants its subcommand first
        at = 1 if tool == "kafka-cluster" else 0
        args[at:at] = ["--bootstrap-server", bootstrap]
    command = needs.java(MAIN[tool], *args, quick=tool not in LONG)
    return [command[0], *flags, *command[1:]]


def run(tool, args, bootstrap, stdin=None, timeout=60):
    flags, finish = archive(tool) if tool not in LONG else ([], lambda: None)
    done = procs.run(argv(tool, args, bootstrap, flags), stdin=stdin, timeout=timeout,
                     env={**os.environ, "TZ": "UTC"})
    finish()
    return done
