"""Kring beside Apache Kafka: what `benches/compare` is made of."""
