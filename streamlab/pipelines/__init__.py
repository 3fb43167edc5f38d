"""Pipelines: source → transform → sink, as a value, a file and a picture."""

from streamlab.pipelines.pipeline import DeadLetters, Input, Pace, Pipeline

__all__ = ["DeadLetters", "Input", "Pace", "Pipeline"]
