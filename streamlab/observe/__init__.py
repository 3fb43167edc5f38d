"""Observation: what a worker and a stream are doing, without disturbing either."""
