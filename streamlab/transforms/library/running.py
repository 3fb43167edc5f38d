"""Running totals: each event with the sum, count, extreme or mean of its key so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

import polars as pl

from streamlab.errors import UsageError
from streamlab.transforms.event_time import EventTime, as_event_time, duration_us
from streamlab.transforms.library.function import Call, LibraryFunction, as_keys, given
from streamlab.transforms.transform import Transform

Kind: TypeAlias = Literal["sum", "count", "min", "max", "mean"]

_VALUE: Final = "_value"
_COUNT: Final = "_count"


def running(
    kind: Kind,
    column: str,
    *,
    keys: str | Sequence[str],
    on: str | EventTime | None = None,
    into: str | None = None,
    ttl: str | timedelta | None = None,
    name: str | None = None,
) -> Transform[Any, Any]:
    """Return a transform that gives each event what its key amounts to so far.

    Args:
        kind: ``sum``, ``count`` (of values), ``min``, ``max`` or ``mean``.
        column: What is aggregated; nulls do not count. A sum of no values is 0.
        keys: Columns that name a total.
        on: Event time: events come in its order, behind the watermark; without it in
            the order of their partition.
        into: Column that the total is added as; ``sum_of_<column>`` if left out.
        ttl: After how long without events a key begins anew.
        name: What the transform is called; ``running_<kind>`` if left out.
    """
    if kind not in get_args(Kind):
        message = f"{kind!r} is not what can run"
        raise UsageError(message, hint=f"use one of {', '.join(get_args(Kind))}")
    named = given(keys=keys, on=on, into=into, ttl=ttl, name=name)
    return _made(kind, column, Call("running", (kind, column), named))


def running_total(
    column: str,
    *,
    keys: str | Sequence[str],
    on: str | EventTime | None = None,
    into: str | None = None,
    ttl: str | timedelta | None = None,
    name: str | None = None,
) -> Transform[Any, Any]:
    """Return a transform that adds the running sum of a column, by its key.

    Args:
        column: What is summed; nulls count as 0.
        keys: Columns that name a total.
        on: See :func:`running`.
        into: See :func:`running`.
        ttl: See :func:`running`.
        name: See :func:`running`.

    Example:
        >>> spent = sl.running_total("amount", keys="customer", into="spent")
    """
    named = given(keys=keys, on=on, into=into, ttl=ttl, name=name)
    return _made("sum", column, Call("running_total", (column,), named))


def _made(kind: Kind, column: str, call: Call) -> Transform[Any, Any]:
    named = call.named
    function = _Running(
        str(named.get("name", f"running_{kind}")),
        as_keys(named["keys"]),
        call,
        kind,
        column,
        str(named.get("into", f"{kind}_of_{column}")),
    )
    on, ttl = named.get("on"), named.get("ttl")
    return function.transform(
        on=None if on is None else as_event_time(on),
        ttl_us=None if ttl is None else duration_us(ttl, "ttl"),
    )


@dataclass(frozen=True)
class _Running(LibraryFunction):
    """Adds a running aggregate.

    The state goes into the first event of its key, so that the sums are made in the
    same order, to the last bit, wherever an epoch ends.

    Attributes:
        kind: Which one.
        column: Of what.
        into: Its name.
    """

    kind: Kind
    column: str
    into: str

    def __call__(
        self, events: pl.LazyFrame, state: pl.LazyFrame
    ) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        """Fold events; see the class."""
        schema = events.collect_schema()
        parts = self.state(schema)
        key = pl.col(self.keys[0]) if len(self.keys) == 1 else pl.struct(self.keys)
        is_first = key.is_first_distinct()
        done = (
            self.known(events, state)
            .with_columns(self._entering(*part, is_first) for part in parts.items())
            .with_columns(self._running(part).over(self.keys) for part in parts)
        )
        kept = done.group_by(self.keys).agg(pl.col(part).last() for part in parts)
        output = done.with_columns(self._total.alias(self.into))
        return output.select(*dict.fromkeys([*schema, self.into])), kept

    def state(self, events: pl.Schema) -> Mapping[str, pl.DataType]:
        """Return the sum or extreme, and the count, as far as it needs them."""
        dtype = self.require(self.column, events)
        if self.kind == "count":
            return {_COUNT: pl.Int64()}
        if self.kind in {"min", "max"}:
            if not (dtype.is_numeric() or dtype.is_temporal()):
                raise self._unfit(dtype)
            return {_VALUE: dtype}
        value = {_VALUE: self._sum_dtype(dtype)}
        return {**value, _COUNT: pl.Int64()} if self.kind == "mean" else value

    def _entering(self, part: str, dtype: pl.DataType, is_first: pl.Expr) -> pl.Expr:
        """Return the value of each event; that of the first has the state in it."""
        before = pl.col(part)
        if self.kind in {"min", "max"}:
            value = pl.col(self.column)
            extreme = pl.min_horizontal if self.kind == "min" else pl.max_horizontal
            with_state = extreme(value, before)
        else:
            own = pl.col(self.column)
            counts = own.is_not_null().cast(pl.Int64)
            value = counts if part == _COUNT else own.cast(dtype).fill_null(0)
            with_state = value + before.fill_null(0)
        return pl.when(is_first).then(with_state).otherwise(value).alias(part)

    def _running(self, part: str) -> pl.Expr:
        if self.kind == "min":
            return pl.col(part).cum_min().forward_fill()
        if self.kind == "max":
            return pl.col(part).cum_max().forward_fill()
        return pl.col(part).cum_sum()

    @property
    def _total(self) -> pl.Expr:
        if self.kind == "count":
            return pl.col(_COUNT)
        if self.kind == "mean":
            count = pl.col(_COUNT)
            return pl.when(count > 0).then(pl.col(_VALUE) / count)
        return pl.col(_VALUE)

    def _sum_dtype(self, dtype: pl.DataType) -> pl.DataType:
        """Return what a sum is kept as, so that it does not overflow soon."""
        if isinstance(dtype, pl.Decimal):
            return pl.Decimal(38, dtype.scale)
        if dtype.is_float() or (self.kind == "mean" and dtype.is_numeric()):
            return pl.Float64()
        if dtype.is_integer():
            return pl.Int64()
        raise self._unfit(dtype)

    def _unfit(self, dtype: pl.DataType) -> UsageError:
        message = f"{self.called}() cannot make a {self.kind} of {self.column!r}"
        return UsageError(
            f"{message}, a {dtype} column", hint="cast it to a number before"
        )
