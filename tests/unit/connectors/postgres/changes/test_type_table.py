"""The table of types in the documentation is that of the tests."""

from __future__ import annotations

from pathlib import Path

from streamlab.formats.changes import BEFORE, METADATA
from tests.integration.postgres_types import table

DOCS = Path(__file__).parents[5] / "docs" / "postgres-types.md"


def test_documentation_has_the_types():
    """docs/postgres-types.md has the table that the cases make.

    To write it again: python -m tests.integration.postgres_types
    """
    assert "\n" + "\n".join(table()) + "\n\n" in DOCS.read_text(encoding="utf-8")


def test_documentation_has_the_metadata_columns():
    """Each metadata column of a change row is in the table of them."""
    text = DOCS.read_text(encoding="utf-8")
    for name in (*METADATA, BEFORE):
        assert f"`{name}`" in text
