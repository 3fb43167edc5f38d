"""``streamlab sample show|add|mask``: saved samples, which are test fixtures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from streamlab.errors import UsageError

if TYPE_CHECKING:
    from streamlab.taps.sample import Sample

SHOWN = 20


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    parser.add_argument("action", choices=["show", "add", "mask"])
    parser.add_argument("file", type=Path, help="the sample")
    parser.add_argument(
        "--from", dest="other", type=Path, metavar="FILE", help="add: take events of it"
    )
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="add: only topic/partition@offset; may be repeated",
    )
    parser.add_argument(
        "--personal", default="", metavar="FIELD,…", help="mask: what is personal"
    )
    parser.add_argument("--limit", type=int, default=SHOWN, help="show: events to list")


def run(name: str, arguments: argparse.Namespace) -> int:
    """Show a sample, or write it with more events or fewer personal values."""
    del name
    from streamlab.taps.sample import Sample

    path: Path = arguments.file
    if arguments.action == "show":
        _show(Sample.load(path), arguments.limit)
        return 0
    if arguments.action == "add":
        grown = _grown(path, arguments)
    else:
        grown = Sample.load(path).masked(fields(arguments.personal))
    grown.save(path)
    print(f"saved to {path}: {grown}")
    return 0


def fields(text: str) -> list[str]:
    """Return the fields that an option lists, such as ``email,address.street``."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _grown(path: Path, arguments: argparse.Namespace) -> Sample:
    from streamlab.taps.sample import Sample

    if arguments.other is None:
        message = "it is not said where the events come from"
        raise UsageError(message, hint="--from FILE, a sample that streamlab tap saved")
    other = Sample.load(arguments.other)
    if path.exists():
        return Sample.load(path).with_events(other, at=arguments.at)
    picked = other.only(at=arguments.at) if arguments.at else other
    return picked.masked()


def _show(sample: Sample, limit: int) -> None:
    """Print what a sample holds, its first events and what does not decode."""
    print(f"{sample.name}: {sample}")
    print(f"read {', '.join(map(str, sample.spans)) or 'nothing'}")
    with pl.Config(tbl_rows=limit, tbl_width_chars=120, tbl_hide_dataframe_shape=True):
        print(sample.frame.head(limit))
    origins = sample.origins[sample.frame.height :]
    for origin, rejection in zip(origins, sample.rejected, strict=False):
        print(f"{origin}  {rejection.code}: {rejection.reason}")
