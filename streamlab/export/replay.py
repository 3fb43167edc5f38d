"""Replaying a package's sample: what its verification runs."""

from __future__ import annotations

from dataclasses import replace

from streamlab.engines.local import rehearsal
from streamlab.engines.local.rehearsal import Replayed
from streamlab.pipelines import Pipeline
from streamlab.taps.sample import Sample

__all__ = ["Replayed", "replay"]

LATE = "late"  # stage of the dead letters that came too late


def replay(pipeline: Pipeline, sample: Sample) -> Replayed:
    """Run a pipeline on a sample; see :func:`streamlab.replay`.

    Values that the sample has as rejected are expected to be dead letters: those that
    are, with the code that they have in the sample, are left out of ``dead_letters``;
    so are late events, which every longer sample with a window has.
    """
    replayed = rehearsal.replay(pipeline, sample)
    rejected = sample.origins[sample.frame.height :]
    expected = {
        (*origin.place, one.code)
        for origin, one in zip(rejected, sample.rejected, strict=False)
    }
    letters = tuple(
        letter
        for letter in replayed.dead_letters
        if letter.stage != LATE
        and (letter.partition, letter.position, letter.code) not in expected
    )
    return replace(replayed, dead_letters=letters)
