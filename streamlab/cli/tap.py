"""``streamlab tap``: a bounded sample of a topic, disturbing nobody."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamlab.cli.sample import fields

if TYPE_CHECKING:
    from streamlab.taps.sample import Sample

SHOWN_ROWS = 10


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    del name
    parser.add_argument("topic", help="the topic to read")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--last", type=int, metavar="N", help="the last N events")
    begin.add_argument("--since", metavar="WHEN", help="since a time, or 10m, 2h, 1d")
    begin.add_argument(
        "--from",
        dest="from_offsets",
        type=offsets,
        metavar="P:OFFSET,…",
        help="from these offsets, such as 0:100,1:250",
    )
    parser.add_argument("--key", help="only events with this key")
    parser.add_argument("--format", default="json", help="json, string or bytes")
    parser.add_argument("--schema", type=Path, help="schema file; else inferred")
    parser.add_argument(
        "--personal", default="", metavar="FIELD,…", help="mask these fields as well"
    )
    parser.add_argument("--unmask", action="store_true", help="mask nothing")
    parser.add_argument("--rows", dest="max_rows", type=int, help="at most this many")
    parser.add_argument("--bytes", dest="max_bytes", type=int, help="read at most")
    parser.add_argument("--seconds", dest="max_seconds", type=float, help="read for")
    parser.add_argument("--profile", default="", help="profile of streamlab.toml")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the sample")
    parser.add_argument(
        "--ndjson", action="store_true", help="print the events, one JSON line each"
    )


def run(name: str, arguments: argparse.Namespace) -> int:
    """Read the sample, and print or save it."""
    del name
    from streamlab.taps.tap import tap

    sample = tap(arguments.topic, **_options(arguments))
    if arguments.save is not None:
        sample.save(arguments.save)
    if arguments.ndjson:
        print(sample.events.write_ndjson(), end="")
    else:
        print(sample.frame.head(SHOWN_ROWS))
    print(_summary(sample, arguments.save), file=sys.stderr)
    return 0


def offsets(text: str) -> dict[int, int]:
    """Return what ``0:100,1:250`` says: partition → offset."""
    try:
        pairs = [pair.split(":") for pair in text.split(",")]
        return {int(partition): int(offset) for partition, offset in pairs}
    except ValueError:
        message = "write partition:offset, such as 0:100,1:250"
        raise argparse.ArgumentTypeError(message) from None


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that were given; the others keep the API's default."""
    names = ("last", "since", "from_offsets", "key", "format", "profile", "unmask")
    bounds = ("max_rows", "max_bytes", "max_seconds")
    options = {
        name: getattr(arguments, name)
        for name in (*names, *bounds)
        if getattr(arguments, name) is not None
    }
    options["personal"] = fields(arguments.personal)
    if arguments.schema is not None:
        from streamlab.contracts import odcs

        options["schema"] = odcs.load(arguments.schema)
    return options


def _summary(sample: Sample, saved: Path | None) -> str:
    from streamlab.contracts.schema import dotted

    spans = ", ".join(map(str, sample.spans)) or "nothing"
    lines = [f"{sample.frame.height:,} events of {sample.topic}; read {spans}"]
    lines += [
        f"{count:,} did not decode: {code}"
        for code, count in sample.counts_by_code().items()
    ]
    if sample.withheld:
        lines.append(f"{sample.withheld:,} left out: they could not be masked")
    if sample.masks:
        lines.append(f"masked: {', '.join(map(dotted, sample.masks))}")
    if sample.cut["stopped_by"] != "end":
        lines.append(f"stopped by {sample.cut['stopped_by']}")
    if saved is not None:
        lines.append(f"saved to {saved}")
    return "\n".join(lines)
