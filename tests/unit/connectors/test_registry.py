"""The table of connectors, its documentation and its errors agree."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from streamlab import connectors
from streamlab.errors import DISTRIBUTION, MissingExtra, UnknownName

DOCS = Path(__file__).parents[3] / "docs" / "sinks.md"
SINKS = sorted(name for name, known in connectors.BUILT_IN.items() if known.sink)


def documented_row(name: str) -> str:
    """Return the line of the documentation's table that a sink must have."""
    cls = connectors.sink_class(name)
    needed = [
        field
        for field in dataclasses.fields(cls)
        if field.default is field.default_factory is dataclasses.MISSING
    ]
    sink = cls(*("placeholder" for _ in needed))
    extra = connectors.BUILT_IN[name].extra
    install = f"`pip install '{DISTRIBUTION}[{extra}]'`" if extra else "built in"
    return f"| `{name}` | `{cls.__name__}` | {sink.guarantee.value} | {install} |"


def test_documentation_lists_every_sink_and_its_guarantee() -> None:
    """The table of docs/sinks.md is what the registry says, line by line."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| `")]
    assert table[: len(SINKS)] == [documented_row(name) for name in SINKS]


def test_unknown_sink_is_named_with_near_ones() -> None:
    """A typing mistake in a pipeline file has a hint."""
    with pytest.raises(UnknownName, match="did you mean 'postgres'"):
        connectors.sink_class("postgre")


def test_missing_driver_names_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connector whose driver is not installed says how to get it."""
    monkeypatch.setitem(
        connectors.BUILT_IN,
        "absent",
        connectors.Connector(
            sink="no_such_driver:Sink", extra="postgres", driver="no_such_driver"
        ),
    )
    with pytest.raises(MissingExtra) as caught:
        connectors.sink_class("absent")
    assert "[postgres]" in caught.value.hint
