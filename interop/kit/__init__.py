"""The harness behind interop/run: needs, targets, Kafka's tools, reporting."""
