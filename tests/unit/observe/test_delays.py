"""The latency of a pipeline, from what its workers serve."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamlab.errors import UnknownName
from streamlab.observe.delays import Latency
from streamlab.observe.histogram import Histogram
from streamlab.observe.server import StatusServer
from streamlab.observe.status import WorkerStatus
from streamlab.observe.workers import announced


class Told:
    """A worker's status that a test changes."""

    def __init__(self, pid: int) -> None:
        self.status = WorkerStatus("orders", "orders-1", pid, "running", 0)

    def counts(self, **kinds: list[float]) -> None:
        counted = {kind: list(Histogram.of(ms).counts) for kind, ms in kinds.items()}
        self.status = dataclasses.replace(self.status, latency_counts=counted)


@contextmanager
def serving(told: Told, folder: Path) -> Iterator[None]:
    with (
        StatusServer(lambda: told.status) as server,
        announced("orders", "orders-1", server.port, state_folder=folder),
    ):
        yield


@pytest.fixture
def told() -> Told:
    return Told(os.getpid())


def test_only_what_comes_after_the_first_look_counts(
    told: Told, tmp_path: Path
) -> None:
    """A backlog that was read before a view was opened is not in it."""
    told.counts(broker=[5_000.0] * 9)
    with serving(told, tmp_path):
        latency = Latency("orders", state_folder=tmp_path)
        assert latency.histogram().total == 0
        told.counts(broker=[5_000.0] * 9 + [4.0])
        latency.sampler.readings.append(latency.sampler._read())
    assert latency.histogram() == Histogram.of([4.0])


def test_event_time_goes_before_the_time_of_the_source(
    told: Told, tmp_path: Path
) -> None:
    """Where a pipeline names its event time, that is what people ask for."""
    told.counts(broker=[1.0], event=[9.0])
    with serving(told, tmp_path):
        latency = Latency("orders", state_folder=tmp_path)
        told.counts(broker=[1.0, 1.0], event=[9.0, 9.0])
        latency.sampler.readings.append(latency.sampler._read())
    assert latency.counted_from == "event"
    assert latency.histogram() == Histogram.of([9.0])


def test_a_pipeline_without_a_worker_is_named(told: Told, tmp_path: Path) -> None:
    """The mistake says which pipelines do run here."""
    with serving(told, tmp_path), pytest.raises(UnknownName, match="'order'") as error:
        Latency("order", state_folder=tmp_path)
    assert "orders" in str(error.value)
