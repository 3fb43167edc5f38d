"""``streamlab dlq show|replay``: events that could not be processed."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

from streamlab.cli.chosen import add_pipeline, chosen_pipeline
from streamlab.cli.confirming import confirmed
from streamlab.sinks import DeadLetter

SHOWN = 20
PREVIEW_BYTES = 60


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    parser.add_argument("action", choices=["show", "replay"])
    add_pipeline(parser)
    parser.add_argument("--code", default="", help="only this kind, such as not-json")
    parser.add_argument("--limit", type=int, default=SHOWN, help="letters to list")
    parser.add_argument(
        "--values", action="store_true", help="show the values too, as they are"
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
        _show(kept.chosen(code=arguments.code, again=True), arguments)
        return 0
    letters = kept.chosen(code=arguments.code, again=arguments.again)
    target = arguments.to or "the topics they came from"
    print(f"{len(letters)} event(s) go again into {target}")
    if not letters:
        return 0
    if not (arguments.yes or confirmed("replay?")):
        print("nothing was sent")
        return 0
    print(f"sent {kept.replay(letters, topic=arguments.to)}")
    return 0


def _show(letters: Sequence[DeadLetter], arguments: argparse.Namespace) -> None:
    """Print the counts by kind, then the newest letters."""
    from streamlab.engines.local.replaying import origin

    print(f"{len(letters)} dead letter(s), by distinct origin")
    kinds = Counter((letter.stage, letter.code) for letter in letters)
    for (stage, code), count in kinds.most_common():
        print(f"  {count:>8}  {stage:<10} {code}")
    for letter in letters[-arguments.limit :]:
        value = f"  {_preview(letter.value)}" if arguments.values else ""
        print(f"{origin(letter)}  {letter.code}: {letter.reason}{value}")


def _preview(value: bytes | None) -> str:
    """Return the beginning of a value with everything but plain text escaped."""
    if value is None:
        return "(no value)"
    more = "…" if len(value) > PREVIEW_BYTES else ""
    return ascii(value[:PREVIEW_BYTES])[1:] + more
