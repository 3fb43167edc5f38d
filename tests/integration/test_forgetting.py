"""Pipelines that are given up: what their source's system keeps of them goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

import streamlab as sl
from streamlab.connectors.memory import MemorySink, MemoryTarget
from streamlab.engines.local import Worker
from streamlab.errors import Fenced
from tests.faults.conftest import Events, Project, make_project, table
from tests.integration.test_positions import into_postgres
from tests.integration.test_postgres_source import Shop, shop

__all__ = ["make_project", "shop", "table"]  # fixtures

pytestmark = pytest.mark.integration


def publications(shop: Shop) -> list[str]:
    with psycopg.connect(shop.dsn) as connection:
        rows = connection.execute(
            "select pubname from pg_publication where pubname in (%s, %s)",
            [shop.slot, f"streamlab_{shop.slot}"],
        )
        return [row[0] for row in rows]


def test_a_forgotten_pipeline_leaves_no_slot_and_runs_anew(shop: Shop) -> None:
    """Slot and own publication are gone; into an empty target all rows come again."""
    source = replace(shop.source(), publication="")
    pipeline = replace(
        shop.pipeline(MemorySink(target=MemoryTarget())),
        inputs=(sl.Input(source, "rows", source.schema()),),
    )
    assert sl.run(pipeline, until_caught_up=True).counts["read"] == 10
    assert shop.slots() == [shop.slot]
    sl.forget(pipeline)
    assert (shop.slots(), publications(shop)) == ([], [])
    anew = replace(pipeline, sink=MemorySink(target=MemoryTarget()))
    assert sl.run(anew, until_caught_up=True).counts["read"] == 10
    sl.forget(pipeline)
    sl.forget(pipeline)  # nothing is left to do


def test_a_publication_that_somebody_named_stays(shop: Shop) -> None:
    """It may be used by others."""
    pipeline = shop.pipeline(MemorySink(target=MemoryTarget()))
    sl.run(pipeline, until_caught_up=True)
    sl.forget(pipeline)
    assert (shop.slots(), publications(shop)) == ([], [shop.slot])


def test_a_slot_that_is_read_stays(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline whose worker runs is not forgotten under its feet."""
    monkeypatch.setattr("streamlab.connectors.postgres.source.LET_GO_S", 0.2)
    target = MemoryTarget()
    worker = Worker(shop.pipeline(MemorySink(target=target)))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        while not (shop.slots() and target.frame().height):
            assert thread.is_alive()
            time.sleep(0.05)
        with pytest.raises(Fenced, match="is being read"):
            sl.forget(worker.pipeline)
    finally:
        worker.stop()
        thread.join()
    assert shop.slots() == [shop.slot]


def test_a_forgotten_group_is_gone(
    make_project: Callable[..., Project],
    kafka_address: str,
    make_topic: Callable[..., str],
    table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Offsets and mark go; what the sink keeps with its rows stays."""
    project = make_project()
    monkeypatch.chdir(project.folder)
    events = Events(kafka_address, make_topic(partitions=2))
    events.send(20)
    pipeline = into_postgres(project, events, table)
    assert project.finish() == 0, project.log()
    client = AdminClient({"bootstrap.servers": kafka_address})

    def groups() -> set[str]:
        listed = client.list_consumer_groups().result()
        return {group.group_id for group in listed.valid}

    group = f"streamlab.{pipeline.name}"
    assert group in groups()
    sl.forget(pipeline)
    assert group not in groups()
    sl.forget(pipeline)
    assert pipeline.sink.stored(pipeline.name)
