"""What a transform declares, in words: for plans and pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from streamlab.operators.operator import Operator
from streamlab.transforms.declarations import Folded, Joined, Windowed
from streamlab.transforms.event_time import duration_text
from streamlab.transforms.transform import Transform
from streamlab.transforms.windows import Counted, Session, Sliced, Window


def described(transform: Transform[Any, Any], operator: Operator) -> str:
    """Return what the operator of a transform does and keeps, as one line."""
    parts = [*_parts(transform), f"keeps {operator.keeps}"]
    return f"{transform.name}: {'; '.join(parts)}"


def short(transform: Transform[Any, Any]) -> str:
    """Return what a transform declares in a few words; empty of a stateless one."""
    return next(iter(_parts(transform)), "")


def _parts(transform: Transform[Any, Any]) -> Iterator[str]:
    needs = transform.needs
    if isinstance(needs, Windowed):
        yield _window(needs.window) + _by(needs.keys)
        yield _emitted(needs)
        yield from _late(needs.window.lateness_us)
    elif isinstance(needs, Folded):
        in_order = f" in the order of {needs.on}" if needs.on else ""
        yield f"fold{_by(needs.keys)}{in_order}"
        yield from _late(needs.lateness_us)
        if needs.ttl_us is not None:
            yield f"a key is dropped {duration_text(needs.ttl_us)} after its last event"
    elif isinstance(needs, Joined):
        join = needs.join
        kind = re.sub(r"(?<!^)(?=[A-Z])", " ", type(join).__name__).lower()
        how = getattr(join, "how", "")
        pairs = getattr(join, "keys", ())
        keys = tuple(a if a == b else f"{a} = {b}" for a, b in pairs)
        yield f"{how} {kind} of {join.left} and {join.right}{_by(keys)}".strip()
        if join.detail:
            yield join.detail
        yield from _late(getattr(join, "lateness_us", 0))
        if (ttl_us := getattr(join, "ttl_us", None)) is not None:
            yield f"a row is dropped {duration_text(ttl_us)} after it came"


def _emitted(needs: Windowed) -> str:
    if needs.emit == "final":
        return "results when a window closes"
    often = f", every {duration_text(needs.early_us)} at most" if needs.early_us else ""
    return f"updates of changed windows{often}, as rows with _op"


def _window(window: Window) -> str:
    if isinstance(window, Sliced):
        zone = "" if window.zone == "UTC" else f" in {window.zone}"
        if window.every == window.size:
            return f"tumbling windows of {window.size.text}{zone}"
        return f"windows of {window.size.text} every {window.every.text}{zone}"
    if isinstance(window, Session):
        most = window.longest_us
        limit = "" if most is None else f", at most {duration_text(most)} long"
        return f"sessions with gaps of {duration_text(window.gap_us)}{limit}"
    if isinstance(window, Counted):
        return f"windows of {window.rows:,} rows"
    return "windows"


def _by(keys: tuple[str, ...]) -> str:
    return f" by {', '.join(keys)}" if keys else ""


def _late(lateness_us: int) -> Iterator[str]:
    if lateness_us:
        yield f"events are taken {duration_text(lateness_us)} late"
