"""Static tables of transforms as files of the package."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.errors import UsageError
from streamlab.transforms.transform import Transform

MAX_TABLE_BYTES = 10 * 2**20
"""A package is code with its fixtures; more belongs into a store."""


@dataclass(frozen=True)
class TableFiles:
    """The tables of a pipeline's transforms.

    Attributes:
        files: File stem → content, Parquet.
        stems: ``(transform, parameter)`` → file stem.
        problems: Tables that cannot be carried, by name.
    """

    files: Mapping[str, bytes]
    stems: Mapping[tuple[str, str], str]
    problems: tuple[str, ...] = ()


def gathered(transforms: Sequence[Transform[Any, Any]], base: Path) -> TableFiles:
    """Read the tables and write each as Parquet, in memory.

    Args:
        transforms: Those of a pipeline.
        base: Folder that the paths of tables count from.
    """
    files: dict[str, bytes] = {}
    stems: dict[tuple[str, str], str] = {}
    problems: list[str] = []
    for transform in transforms:
        for parameter, table in transform.tables.items():
            where = f"table {parameter} of {transform.name}"
            try:
                content = parquet(table.read(base))
            except UsageError as error:
                problems.append(f"{where}: {error.message}")
                continue
            if len(content) > MAX_TABLE_BYTES:
                problems.append(
                    f"{where}: {len(content) / 2**20:.0f} MB as Parquet, more than "
                    f"{MAX_TABLE_BYTES // 2**20} MB; keep fewer columns or rows"
                )
                continue
            stem = parameter
            if files.get(stem, content) != content:
                stem = f"{transform.name}_{parameter}"
            files[stem] = content
            stems[transform.name, parameter] = stem
    return TableFiles(files, stems, tuple(problems))


def parquet(frame: pl.DataFrame) -> bytes:
    """Return a frame as Parquet; the same rows give the same bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()
