"""Topics that change data capture has filled, looked at as any topic is."""

from __future__ import annotations

import json
import threading
import time

import polars as pl
import pytest
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

import streamlab as sl
from streamlab import registry as registry_room
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.engines.local import Worker
from streamlab.errors import SettingsError
from streamlab.formats.changes import METADATA
from tests.integration.test_postgres_source import Shop, shop

pytestmark = pytest.mark.integration
assert shop  # a fixture


@pytest.mark.parametrize("shape", ["flat", "debezium"])
def test_a_topic_of_changes_can_be_tapped(
    shape: str, shop: Shop, kafka_address: str, topic_name: str
) -> None:
    """Its columns are those of the table, whichever shape the events have."""
    (shop.folder / "streamlab.toml").write_text(
        'default_profile = "default"\n[profiles.default.kafka]\n'
        f'"bootstrap.servers" = "{kafka_address}"\n'
    )
    sink = KafkaSink(topic=f"{topic_name}.{{_table}}", format="bytes", partitions=1)
    pipeline = shop.pipeline(sink, shape=shape)
    Worker(pipeline).run(until_caught_up=True)
    shop.run(
        "update {t} set name = 'changed' where id = 2", "delete from {t} where id=3"
    )
    Worker(pipeline).run(until_caught_up=True)
    given = {"format": "debezium"} if shape == "debezium" else {}
    tapped = sl.tap(f"{topic_name}.{shop.table}", **given)
    assert {name: tapped.schema.dtypes[name] for name in METADATA} == METADATA
    rows = tapped.frame
    assert rows["_op"].to_list() == ["snapshot"] * 10 + ["update", "delete"]
    assert rows["id"].to_list() == [*range(1, 11), 2, 3]
    assert rows["name"].to_list()[10] == "changed"
    assert [json.loads(key)["id"] for key in rows["_key"]] == [*range(1, 11), 2, 3]


def settings(shop: Shop, kafka_address: str, registry_url: str = "") -> None:
    registry = f'[profiles.default.registry]\nurl = "{registry_url}"\n'
    (shop.folder / "streamlab.toml").write_text(
        'default_profile = "default"\n[profiles.default.kafka]\n'
        f'"bootstrap.servers" = "{kafka_address}"\n' + registry * bool(registry_url)
    )


def test_topics_in_avro_are_what_debezium_would_write(
    shop: Shop, kafka_address: str, registry_url: str, theirs, topic_name: str
) -> None:
    """Keys, values and tombstones are read by us and by Confluent's deserializer."""
    settings(shop, kafka_address, registry_url)
    sink = KafkaSink(
        topic=f"{topic_name}.{{_table}}", format="bytes", partitions=1, tombstones=True
    )
    pipeline = shop.pipeline(sink, shape="debezium-avro")
    Worker(pipeline).run(until_caught_up=True)
    shop.run("update {t} set name = 'new' where id = 2", "delete from {t} where id=3")
    Worker(pipeline).run(until_caught_up=True)
    tapped = sl.tap(f"{topic_name}.{shop.table}", format="debezium-avro")
    assert tapped.counts_by_code() == {"tombstone": 1}
    rows = tapped.frame
    assert rows["_op"].to_list() == ["snapshot"] * 10 + ["update", "delete"]
    assert rows["id"].to_list() == [*range(1, 11), 2, 3]
    assert str(rows["price"].to_list()[1]) == "2.00"
    reader = AvroDeserializer(theirs)
    context = SerializationContext(topic_name, MessageField.KEY)
    keys = [reader(key, context) for key in rows["_key"]]
    assert keys == [{"id": number} for number in [*range(1, 11), 2, 3]]
    value = reader(tapped.values[10], context)
    assert (value["op"], value["after"]["name"]) == ("u", "new")
    name = f"{shop.slot}.public.{shop.table}"
    subjects = [f"{name}-{part}" for part in ("key", "value")]
    assert set(subjects) <= set(theirs.get_subjects())


def test_a_registry_that_is_down_costs_no_change(
    shop: Shop, kafka_address: str, own_stack, topic_name: str
) -> None:
    """Rows of the snapshot and changes wait for the registry, and none is left out."""
    stack = own_stack("registry")
    settings(shop, kafka_address, stack.registry)
    sink = KafkaSink(topic=f"{topic_name}.{{_table}}", format="bytes", partitions=1)
    pipeline = shop.pipeline(sink, shape="debezium-avro")
    server = stack.server("registry")
    server.stop()

    def reads() -> pl.DataFrame:
        tapped = sl.tap(
            f"{topic_name}.{shop.table}", format="debezium-avro", progress=False
        )
        assert tapped.counts_by_code() == {}
        return tapped.frame.with_columns(
            more=pl.col("more") if "more" in tapped.frame.columns else None
        )

    worker = Worker(pipeline)
    running = threading.Thread(target=worker.run)
    running.start()
    try:
        wait_until(lambda: "registry" in str(worker.status().reason))
        assert worker.status().counts["rows_out"] == 0
        shop.run("update {t} set name = 'new' where id = 2")
        server.start()
        wait_until(lambda: worker.status().counts["rows_out"] >= 10)
        server.stop()
        registry_room._known.clear()
        shop.run(
            "alter table {t} add column more int",
            "update {t} set more = 1 where id = 3",
        )
        wait_until(lambda: "registry" in str(worker.status().reason))
        server.start()
        wait_until(lambda: reads()["more"].drop_nulls().to_list() == [1])
    finally:
        worker.stop()
        running.join(60)
    rows = reads()
    assert rows["id"].to_list()[:10] == [*range(1, 11)]
    assert rows.filter(id=2)["name"].to_list()[-1] == "new"
    assert rows.filter(pl.col("_op") != "snapshot")["id"].to_list() in ([3], [2, 3])


def wait_until(fits) -> None:
    give_up = time.monotonic() + 60
    while not fits():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_avro_without_a_registry_is_told_at_once(
    shop: Shop, kafka_address: str, topic_name: str
) -> None:
    """A profile without registry is an error before a slot is made."""
    settings(shop, kafka_address)
    sink = KafkaSink(topic=f"{topic_name}.{{_table}}", format="bytes", partitions=1)
    with pytest.raises(SettingsError, match="no schema registry"):
        Worker(shop.pipeline(sink, shape="debezium-avro")).run(until_caught_up=True)
    assert shop.slots() == []
