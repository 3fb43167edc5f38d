"""Aggregations that can be made of those of parts: each with its partial form.

A partial form is some columns for each part, how they are merged, and the value that
the merged columns give. Written on polars' serialized expressions.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from streamlab.transforms.expressions import (
    Json,
    NotShown,
    check_row_wise,
    holds_key,
    only,
)


@dataclass(frozen=True)
class PartialColumn:
    """One column of a partial form.

    Attributes:
        name: Unique among all partial forms of a function.
        collect: Its value of some rows of a group.
        merge: Its value of the values of parts, by the names of the columns.
    """

    name: str
    collect: pl.Expr
    merge: pl.Expr


@dataclass(frozen=True)
class PartialForm:
    """The partial form of one aggregation.

    Attributes:
        columns: What is kept of a part.
        value: The aggregation's value, by the names of the columns; serialized.
        rounds: Whether its last digits depend on how the rows are cut.
    """

    columns: tuple[PartialColumn, ...]
    value: Json
    rounds: bool = False


def expression(tree: Json) -> pl.Expr:
    """Return a serialized expression as one that runs."""
    return pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")


def serialized(expr: pl.Expr) -> Json:
    """Return an expression as polars serializes it."""
    return json.loads(expr.meta.serialize(format="json"))


def partial_form(tree: Json, prefix: str, schema: pl.Schema) -> PartialForm | None:
    """Return the partial form of an aggregation.

    Args:
        tree: Serialized; not one that combines aggregations.
        prefix: Begins the names of its columns.
        schema: Of the rows that it is of.

    Returns:
        None of what is no aggregation.

    Raises:
        NotShown: It is an aggregation that has no partial form here.
    """
    name, content = only(tree)
    if name == "Len":
        return _by_sum(prefix, tree)
    if name == "Function":
        return _function(tree, content, prefix)
    if name != "Agg":
        return None
    kind, argument = only(content)
    known: Mapping[str, Callable[[], PartialForm]] = {
        "Sum": lambda: _sum(tree, argument, prefix, schema),
        "Count": lambda: _count(tree, argument, prefix),
        "Min": lambda: _extreme(tree, argument, prefix, schema),
        "Max": lambda: _extreme(tree, argument, prefix, schema),
        "Mean": lambda: _mean(argument, prefix, schema),
        "Std": lambda: _spread(argument, prefix, schema, root=True),
        "Var": lambda: _spread(argument, prefix, schema, root=False),
        "NUnique": lambda: _n_unique(argument, prefix, schema),
        "First": lambda: _end(tree, argument, prefix),
        "Last": lambda: _end(tree, argument, prefix),
    }
    if kind not in known:
        raise NotShown(f"{kind} of all rows cannot be made of those of parts")
    return known[kind]()


def _one(prefix: str, collect: pl.Expr, merge: pl.Expr) -> PartialForm:
    column = PartialColumn(prefix, collect.alias(prefix), merge.alias(prefix))
    return PartialForm((column,), {"Column": prefix})


def _by_sum(prefix: str, tree: Json) -> PartialForm:
    return _one(prefix, expression(tree), pl.col(prefix).sum())


def _check_input(tree: Json) -> None:
    """Check that an aggregation is of values of rows, perhaps of some rows only.

    Raises:
        NotShown: It is not.
    """
    name, content = only(tree)
    if name == "Filter":
        check_row_wise(content["by"])
        tree = content["input"]
    elif name == "Function" and content["function"] == "DropNulls":
        (tree,) = content["input"]
    check_row_wise(tree)
    if not holds_key(tree, "Column"):
        raise NotShown("it aggregates a constant")


def _dtype(tree: Json, schema: pl.Schema) -> pl.DataType:
    query = schema.to_frame().lazy().select(expression(tree))
    (dtype,) = query.collect_schema().dtypes()
    return dtype


def _check_comparable(dtype: pl.DataType) -> None:
    """Check that values of a dtype are equal and ordered in parts as in the whole.

    Raises:
        NotShown: That is not known.
    """
    plain = dtype in {pl.String, pl.Boolean, pl.Binary}
    if not (dtype.is_numeric() or dtype.is_temporal() or plain):
        raise NotShown(f"how {dtype} values compare is not known")


def _number(tree: Json, schema: pl.Schema) -> None:
    """Check that values are numbers whose sum is as exact in parts as at once.

    Raises:
        NotShown: They are not.
    """
    dtype = _dtype(tree, schema)
    if not (dtype.is_integer() or dtype in {pl.Float64, pl.Boolean}):
        raise NotShown(f"its parts may differ from the whole for {dtype}")


def _sum(tree: Json, argument: Json, prefix: str, schema: pl.Schema) -> PartialForm:
    _check_input(argument)
    dtype = _dtype(argument, schema)
    if not isinstance(dtype, pl.Duration):
        _number(argument, schema)
    return replace(_by_sum(prefix, tree), rounds=dtype.is_float())


def _count(tree: Json, argument: Json, prefix: str) -> PartialForm:
    _check_input(argument["input"])
    return _by_sum(prefix, tree)


def _extreme(tree: Json, argument: Json, prefix: str, schema: pl.Schema) -> PartialForm:
    _check_input(argument["input"])
    _check_comparable(_dtype(argument["input"], schema))
    ((kind, _),) = tree["Agg"].items()
    merge = {"Agg": {kind: {**argument, "input": {"Column": prefix}}}}
    return _one(prefix, expression(tree), expression(merge))


def _mean(argument: Json, prefix: str, schema: pl.Schema) -> PartialForm:
    _check_input(argument)
    _number(argument, schema)
    total, count = f"{prefix}_sum", f"{prefix}_count"
    values = expression(argument)
    columns = (
        _summed(total, values.cast(pl.Float64).sum()),
        _summed(count, values.count()),
    )
    value = pl.when(pl.col(count) > 0).then(pl.col(total) / pl.col(count))
    rounds = _dtype(argument, schema).is_float()
    return PartialForm(columns, serialized(value), rounds)


def _summed(name: str, collect: pl.Expr) -> PartialColumn:
    return PartialColumn(name, collect.alias(name), pl.col(name).sum())


def _spread(
    argument: Json, prefix: str, schema: pl.Schema, *, root: bool
) -> PartialForm:
    """Return the partial form of a variance or its root.

    Source: Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances, 1979, http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf
    """
    tree, ddof = argument
    _check_input(tree)
    _number(tree, schema)
    count, mean, squares = (f"{prefix}_{what}" for what in ("count", "mean", "squares"))
    values = expression(tree).cast(pl.Float64)
    weight = pl.col(count)
    overall = (weight * pl.col(mean)).sum() / weight.sum().clip(lower_bound=1)
    apart = weight * (pl.col(mean) - overall) ** 2
    columns = (
        _summed(count, values.count().cast(pl.Int64)),
        PartialColumn(
            mean, values.mean().fill_null(0.0).alias(mean), overall.alias(mean)
        ),
        PartialColumn(
            squares,
            (values.var(ddof=0).fill_null(0.0) * values.count()).alias(squares),
            (pl.col(squares).sum() + apart.sum()).alias(squares),
        ),
    )
    variance = pl.when(pl.col(count) > ddof).then(
        pl.col(squares) / (pl.col(count) - ddof)
    )
    value = serialized(variance.sqrt() if root else variance)
    return PartialForm(columns, value, rounds=True)


def _n_unique(argument: Json, prefix: str, schema: pl.Schema) -> PartialForm:
    _check_input(argument)
    _check_comparable(_dtype(argument, schema))
    merged = pl.col(prefix).explode(empty_as_null=False).unique()
    form = _one(prefix, expression(argument).unique(), merged)
    return PartialForm(form.columns, serialized(pl.col(prefix).list.len()))


def _end(tree: Json, argument: Json, prefix: str) -> PartialForm:
    """Return the partial form of the first or the last by other columns."""
    name, content = only(argument)
    if name != "SortBy":
        raise NotShown("first() and last() without sort_by() follow the order of rows")
    options = {**content["sort_options"], "maintain_order": True}
    if options["limit"]:
        raise NotShown("it takes some of the rows")
    ((kind, _),) = tree["Agg"].items()

    def end(value: Json, by: list[Json]) -> pl.Expr:
        ordered = {"expr": value, "by": by, "sort_options": options}
        return expression({"Agg": {kind: {"SortBy": ordered}}})

    parts = [content["expr"], *content["by"]]
    for part in parts:
        check_row_wise(part)
    names = [prefix, *(f"{prefix}_by{number}" for number in range(len(parts) - 1))]
    by = [{"Column": one} for one in names[1:]]
    columns = tuple(
        PartialColumn(
            one,
            end(part, content["by"]).alias(one),
            end({"Column": one}, by).alias(one),
        )
        for one, part in zip(names, parts, strict=True)
    )
    return PartialForm(columns, {"Column": prefix})


def _function(tree: Json, content: Json, prefix: str) -> PartialForm | None:
    """Return the partial form of ``any()``, ``all()`` and ``null_count()``."""
    kind = content["function"]
    if kind == "NullCount":
        _check_input(content["input"][0])
        return _by_sum(prefix, tree)
    boolean = kind.get("Boolean") if isinstance(kind, dict) else None
    if not isinstance(boolean, dict) or next(iter(boolean)) not in {"Any", "All"}:
        return None
    _check_input(content["input"][0])
    merge = {"Function": {**content, "input": [{"Column": prefix}]}}
    return _one(prefix, expression(tree), expression(merge))
