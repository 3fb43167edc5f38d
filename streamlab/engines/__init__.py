"""Engines: what executes a pipeline."""
