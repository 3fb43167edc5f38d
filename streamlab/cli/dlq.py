"""``streamlab dlq show|replay|keep``: events that could not be processed."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streamlab.cli.chosen import add_pipeline, chosen_pipeline
from streamlab.cli.confirming import confirmed
from streamlab.errors import UsageError
from streamlab.sinks import DeadLetter

if TYPE_CHECKING:
    from streamlab.engines.local.replaying import Kept
    from streamlab.taps.sample import Sample

SHOWN = 20
PREVIEW_BYTES = 60


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    parser.add_argument("action", choices=["show", "replay", "keep"])
    add_pipeline(parser)
    parser.add_argument("--code", default="", help="only this kind, such as not-json")
    parser.add_argument("--at", default="", help="only topic/partition@offset")
    parser.add_argument("--limit", type=int, default=SHOWN, help="letters to list")
    parser.add_argument(
        "--values", action="store_true", help="show the values too, as they are"
    )
    parser.add_argument(
        "--into", type=Path, metavar="FILE", help="keep: the sample to add them to"
    )
    parser.add_argument(
        "--value", type=Path, metavar="FILE", help="keep: the corrected value of one"
    )
    parser.add_argument("--to", default="", help="replay into this topic instead")
    parser.add_argument(
        "--again", action="store_true", help="also what was replayed before"
    )
    parser.add_argument("--yes", action="store_true", help="replay without asking")


def run(name: str, arguments: argparse.Namespace) -> int:
    """Show the dead letters, or send their events again when confirmed."""
    del name
    from streamlab.engines.local.replaying import Kept

    kept = Kept.of(chosen_pipeline(arguments))
    if arguments.action == "show":
        _show(kept, arguments)
        return 0
    if arguments.action == "keep":
        _keep(kept, arguments)
        return 0
    letters = kept.chosen(
        code=arguments.code, at=arguments.at, again=arguments.again, events=True
    )
    target = arguments.to or "the topics they came from"
    print(f"{len(letters)} event(s) go again into {target}")
    if not letters:
        return 0
    if not (arguments.yes or confirmed("replay?")):
        print("nothing was sent")
        return 0
    print(f"sent {kept.replay(letters, topic=arguments.to)}")
    return 0


def _show(kept: Kept, arguments: argparse.Namespace) -> None:
    """Print the counts by kind, then the newest letters."""
    from streamlab.engines.local.replaying import letters_file, origin

    letters = kept.chosen(code=arguments.code, at=arguments.at, again=True)
    print(f"{len(letters)} dead letter(s), by distinct origin")
    file = letters_file(kept.pipeline)
    if file is not None and not file.exists():
        print(
            f"there is no {file}; an installed worker writes {file.name} into the "
            "folder it is started in: run this command there"
        )
    kinds = Counter((letter.stage, letter.code) for letter in letters)
    for (stage, code), count in kinds.most_common():
        print(f"  {count:>8}  {stage:<10} {code}")
    inputs = kept.pipeline.inputs.values()
    withheld = any(one.schema.personal for one in inputs)
    for letter in letters[-arguments.limit :]:
        value = "(withheld)" if withheld else _preview(letter.value)
        shown = f"  {value}" if arguments.values else ""
        print(f"{origin(letter)}  {letter.code}: {letter.reason}{shown}")
    if withheld and arguments.values:
        print("values are withheld: the schema has personal fields")


def _keep(kept: Kept, arguments: argparse.Namespace) -> None:
    """Add letters to a sample, and say what became of them."""
    from streamlab.taps.sample import Sample

    path: Path | None = arguments.into
    if path is None:
        message = "it is not said which sample to add them to"
        raise UsageError(message, hint="--into FILE, such as --into cases.parquet")
    letters = kept.chosen(code=arguments.code, at=arguments.at, again=True)
    if not letters:
        codes = ", ".join(sorted({letter.code for letter in kept.letters}))
        raise UsageError(
            "there are no such dead letters to keep",
            hint=f"there are {codes}" if codes else "streamlab dlq show lists them",
        )
    before = Sample.load(path) if path.exists() else None
    after = kept.sample(letters, into=before, values=_corrected(letters, arguments))
    after.save(path)
    print(_kept(letters, after))
    if before is not None and before.schema.dtypes != after.schema.dtypes:
        print("the sample was read anew with the pipeline's schema")
    print(f"saved to {path}: {after}")


def _corrected(
    letters: Sequence[DeadLetter], arguments: argparse.Namespace
) -> dict[str, bytes]:
    """Return the corrected value, for the one letter that it is of."""
    from streamlab.engines.local.replaying import origin

    if arguments.value is None:
        return {}
    if len(letters) != 1:
        message = f"a corrected value is of one dead letter, not of {len(letters)}"
        raise UsageError(message, hint="say of which: --at topic/partition@offset")
    try:
        return {origin(letters[0]): arguments.value.read_bytes()}
    except OSError as error:
        message = f"{arguments.value} cannot be read: {error.strerror}"
        raise UsageError(message) from error


def _kept(letters: Sequence[DeadLetter], sample: Sample) -> str:
    """Say how many of the letters are events now, and how many are not."""
    places = [(letter.partition, letter.position) for letter in letters]
    known = [origin.place for origin in sample.origins]
    events = set(known[: sample.frame.height])
    rejected = set(known[sample.frame.height :])
    figures = {
        "decode now": sum(place in events for place in places),
        "still do not": sum(place in rejected for place in places),
    }
    figures["withheld, because they cannot be masked"] = len(places) - sum(
        figures.values()
    )
    told = ", ".join(f"{count} {what}" for what, count in figures.items() if count)
    return f"{len(letters)} dead letter(s): {told or 'nothing to keep'}"


def _preview(value: bytes | None) -> str:
    """Return the beginning of a value with everything but plain text escaped."""
    if value is None:
        return "(no value)"
    more = "…" if len(value) > PREVIEW_BYTES else ""
    return ascii(value[:PREVIEW_BYTES])[1:] + more
