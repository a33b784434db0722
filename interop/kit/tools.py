"""Kafka's command-line tools under their usual names (without `.sh`)."""

import os

from . import needs, procs

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


def argv(tool, args, bootstrap):
    args = list(args)
    if tool not in NO_BOOTSTRAP and "--bootstrap-server" not in args:
        # kafka-cluster wants its subcommand first
        at = 1 if tool == "kafka-cluster" else 0
        args[at:at] = ["--bootstrap-server", bootstrap]
    return needs.java(MAIN[tool], *args, quick=tool not in LONG)


def run(tool, args, bootstrap, stdin=None, timeout=60):
    return procs.run(argv(tool, args, bootstrap), stdin=stdin, timeout=timeout,
                     env={**os.environ, "TZ": "UTC"})
