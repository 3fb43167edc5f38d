"""Regular joins: all rows of two inputs that have equal keys, whenever they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias, get_args

from streamlab.errors import UsageError
from streamlab.transforms.event_time import duration_us
from streamlab.transforms.joins import Join, Keys, key_pairs

RegularHow: TypeAlias = Literal["inner", "left", "full"]


@dataclass(frozen=True)
class RegularJoin(Join):
    """All pairs of rows with equal keys, kept up to date as a log of changes.

    Attributes:
        keys: Column of the left and of the right input, for each part of the key.
        how: Which rows come out that have no partner, with nulls.
        ttl_us: For how long a row is kept, in µs of the clock; None for ever.
        identity: Input whose rows are changes → columns that name one of its rows.
    """

    keys: tuple[tuple[str, str], ...]
    how: RegularHow
    ttl_us: int | None = None
    identity: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def regular_join(
    left: str,
    right: str,
    *,
    keys: Keys,
    how: RegularHow = "inner",
    ttl: str | timedelta | None = None,
    identity: Mapping[str, str | Sequence[str]] | None = None,
) -> RegularJoin:
    """Let all rows of two inputs meet whose keys are equal, whenever they come.

    The function gets one frame of changes to the result: the left columns, the right
    ones (with ``_right`` behind a name that is taken), and ``_op``, which is ``insert``
    or ``delete``. A row without a partner comes out at once, with nulls, where ``how``
    says so, and is deleted when a partner comes. A null key meets nothing.

    Args:
        left: Name of the left input.
        right: Name of the right input.
        keys: A column of both, several, or pairs: ``[("id", "customer")]``.
        how: ``inner``, ``left`` or ``full``.
        ttl: For how long a row is kept after it came, by the clock; then it meets
            nothing any more, and what came out of it stays. Without it the state grows
            with both inputs.
        identity: For an input whose rows are changes (with ``_op``): columns that name
            one of its rows, such as ``{"orders": "order_id"}``.

    Raises:
        UsageError: An argument is none of its kind.
    """
    if how not in get_args(RegularHow):
        message = f"how is {how!r}"
        raise UsageError(message, hint=f"use one of {', '.join(get_args(RegularHow))}")
    if left == right:
        message = f"both inputs of the join are {left}"
        raise UsageError(message, hint="join a stream to itself within an interval")
    named = {
        stream: (columns,) if isinstance(columns, str) else tuple(columns)
        for stream, columns in (identity or {}).items()
    }
    for stream in named:
        if stream not in (left, right):
            message = f"identity names {stream!r}, and the inputs are {left} and "
            raise UsageError(message + right)
    ttl_us = None if ttl is None else duration_us(ttl, "ttl")
    return RegularJoin(left, right, key_pairs(keys), how, ttl_us, named)
