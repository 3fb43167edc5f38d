"""Recorded schemas, which stand for a registry where there is none."""

from __future__ import annotations

import pytest

from streamlab.errors import Refused, SettingsError
from streamlab.registry import connect
from streamlab.registry.recorded import RecordedRegistry, recorded
from streamlab.registry.schemas import Reference, Registered

ITEM = Registered(1, "AVRO", '"int"', (), "shop/item", 3)
ORDER = Registered(2, "AVRO", '"long"', (Reference("Item", "shop/item", 3),))


def test_recorded_schemas_are_found_by_id_and_by_version():
    """What a schema refers to is found, too; nothing else is."""
    with recorded({1: ITEM, 2: ORDER}):
        registry = connect()
        assert registry.schema(2) == ORDER
        assert registry.references(ORDER) == {"Item": ITEM}
        assert registry.latest("shop/item") == ITEM
        assert registry.schema(3) is None
        assert registry.latest("other") is None


def test_recorded_schemas_survive_json():
    """A sample keeps them as JSON."""
    registry = RecordedRegistry.of([ITEM.as_json(), ORDER.as_json()])
    assert registry.schema(2) == ORDER


def test_a_recorded_registry_takes_nothing():
    """It is a record, not a place to write to."""
    with recorded({}) as registry, pytest.raises(Refused, match="cannot be changed"):
        registry.register("a", ITEM)


def test_outside_of_the_block_the_profile_counts(tmp_path, monkeypatch):
    """A record ends with its block."""
    monkeypatch.chdir(tmp_path)
    with recorded({}):
        connect()
    with pytest.raises(SettingsError):
        connect()
