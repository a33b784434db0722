"""Every suite of interop/run, in the order in which they start (the long ones first)."""

from . import bad_input, kafka_tools, kcat, librdkafka, python_clients, rust_clients

ALL = [
    librdkafka.SUITE,
    kafka_tools.SUITE,
    python_clients.KAFKA_PYTHON,
    rust_clients.SUITE,
    python_clients.CONFLUENT,
    kcat.SUITE,
    bad_input.SUITE,
]
