"""What may be claimed of a function, and how it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["shown", "tested", "failed", "unknown"]
"""``shown``: proved from polars' plan, for every input. ``tested``: held on the sample,
which proves nothing about other events. ``failed``: it does not hold. ``unknown``:
neither shown nor tested."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim about a function.

    Attributes:
        kind: How it is known, or that it does not hold.
        message: One or two sentences for a person.
    """

    kind: Kind
    message: str

    @property
    def holds(self) -> bool:
        """Return whether the claim was shown or at least tested."""
        return self.kind in {"shown", "tested"}

    def __str__(self) -> str:
        """Return the kind and the message."""
        return f"{self.kind}: {self.message}"


NOT_REPEATABLE = "not repeatable"
SCHEMA_DEPENDS = "schema depends on the data"
FAILS_ON_EMPTY = "fails on an empty piece"
ORDER_NOT_PROMISED = "order not promised"
LOOKS_ACROSS = "looks across rows"


def failed(what: str, why: str) -> Verdict:
    """Return the verdict that names one of the kinds of failure above."""
    return Verdict("failed", f"{what}: {why}")


def looks_across(what: str) -> Verdict:
    """Return the verdict of a function whose result depends on where a batch ends."""
    return failed(
        LOOKS_ACROSS,
        f"{what}, so the result depends on where a batch ends. Use expressions that "
        "need one row only; windows, keys and state will come with stateful transforms",
    )
