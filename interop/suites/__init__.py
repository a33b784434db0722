"""Every suite of interop/run, in the order in which they start (the long ones first)."""

from . import (bad_input, compaction, crash, damage, directories, disks, groups, java_differential, kafka_tools, kcat,
               librdkafka, loadgen, logs, other_clients, python_clients, retention, rust_clients, streams,
               transcript, tune)

ALL = [
    librdkafka.SUITE,
    kafka_tools.SUITE,
    transcript.SUITE,
    python_clients.KAFKA_PYTHON,
    rust_clients.SUITE,
    python_clients.CONFLUENT,
    kcat.SUITE,
    other_clients.KAFKAJS,
    other_clients.FRANZ_GO,
    streams.SUITE,
    crash.SUITE,
    loadgen.SUITE,
    disks.FULL,
    disks.BROKEN,
    groups.SUITE,
    logs.SUITE,
    retention.SUITE,
    compaction.SUITE,
    directories.SUITE,
    damage.SUITE,
    tune.SUITE,
    java_differential.SUITE,
    bad_input.SUITE,
]
