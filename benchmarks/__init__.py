"""Benchmarks: one command, real servers, the bare client measured in the same run."""
