"""Kafka: connection, source and sink."""
