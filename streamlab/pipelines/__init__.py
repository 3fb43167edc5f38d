"""Pipelines: sources → transforms → sink, as a value, a file and a picture."""

from streamlab.pipelines.input import Input, Keyed
from streamlab.pipelines.pipeline import DeadLetters, Pace, Pipeline, StateSettings

__all__ = ["DeadLetters", "Input", "Keyed", "Pace", "Pipeline", "StateSettings"]
