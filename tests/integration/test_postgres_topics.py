"""Topics that change data capture has filled, looked at as any topic is."""

from __future__ import annotations

import json

import pytest

import streamlab as sl
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.engines.local import Worker
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
