"""Taps: bounded, invisible reads of a stream, and the samples they return."""
