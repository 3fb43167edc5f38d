"""Splitting: a function of a window as one of its parts, where its plan shows how.

A function that is row-wise steps, one ``group_by`` of the window and other columns with
aggregations that split, and row-wise steps again, needs no rows to be kept: partial
results of a few rows each are enough, and give the same. Whatever the plan does not
show to be that is run on rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import polars as pl

from streamlab.transforms import plan
from streamlab.transforms.aggregates import (
    PartialColumn,
    expression,
    partial_form,
)
from streamlab.transforms.expressions import (
    Json,
    LooksAcross,
    NotShown,
    check_row_wise,
    holds_key,
    only,
)
from streamlab.transforms.steps import Step
from streamlab.transforms.windows import WINDOW_END, WINDOW_START

OF_WINDOW = (WINDOW_START, WINDOW_END)

Kind: TypeAlias = Literal["filter", "with_columns", "select"]


@dataclass(frozen=True)
class RowWise:
    """One row-wise step.

    Attributes:
        kind: The method of a frame.
        expressions: Its arguments.
    """

    kind: Kind
    expressions: tuple[pl.Expr, ...]

    def on(self, frame: pl.LazyFrame, hidden: Sequence[str] = ()) -> pl.LazyFrame:
        """Return what it makes of a frame, with hidden columns handed through."""
        if self.kind == "filter":
            return frame.filter(*self.expressions)
        if self.kind == "with_columns":
            return frame.with_columns(*self.expressions)
        return frame.select(*self.expressions, *hidden)


@dataclass(frozen=True)
class Splitting:
    """A function in parts.

    Attributes:
        before: Steps on rows.
        keys: Columns that it groups by beside the window's, made of rows.
        order: All that it groups by, in the order of its output.
        columns: What is kept of a group.
        results: The aggregations, made of that.
        after: Steps on results.
        aggregates: How many aggregations there are.
        plain: Those of ``keys`` that are columns of the events as they come.
    """

    before: tuple[RowWise, ...]
    keys: tuple[pl.Expr, ...]
    order: tuple[str, ...]
    columns: tuple[PartialColumn, ...]
    results: tuple[pl.Expr, ...]
    after: tuple[RowWise, ...]
    aggregates: int = 0
    plain: frozenset[str] = frozenset()

    @property
    def grouped(self) -> tuple[str, ...]:
        """Return the names of ``keys``."""
        return tuple(name for name in self.order if name not in OF_WINDOW)

    def collect(self, rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
        """Return the partial results of rows.

        Args:
            rows: With the columns of the events and ``by``.
            by: Columns of Int64 to group by beside ``keys``.
        """
        frame = rows.lazy()
        for step in self.before:
            frame = step.on(frame, by)
        collected = [column.collect for column in self.columns]
        return (
            frame.group_by(*by, *self.keys).agg(*collected).collect(engine="in-memory")
        )

    def merge(self, parts: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
        """Return the partial results of groups whose parts have some each."""
        merged = [column.merge for column in self.columns]
        frame = parts.lazy().group_by(*by, *self.grouped).agg(*merged)
        return frame.collect(engine="in-memory")

    def finish(self, merged: pl.DataFrame) -> pl.DataFrame:
        """Return what the function gives.

        Args:
            merged: Partial results, with the columns of the window.
        """
        frame = merged.lazy().select(*self.order, *self.results)
        for step in self.after:
            frame = step.on(frame)
        return frame.collect(engine="in-memory")


def split(step: Step, schema: pl.Schema) -> Splitting:
    """Return a function in parts.

    Args:
        step: The function of one stream.
        schema: Columns that it gets, the window's among them.

    Raises:
        NotShown: Its plan does not show how; says why.
    """
    try:
        return _Reading(schema).split(plan.tree(step, schema))
    except LooksAcross as error:
        raise NotShown(str(error)) from None
    except (KeyError, TypeError, IndexError, ValueError, pl.exceptions.PolarsError):
        raise NotShown("its plan has a part of unknown shape") from None


@dataclass
class _Reading:
    """Goes through a plan, from the stream up to the result."""

    schema: pl.Schema
    overwritten: set[str] = field(default_factory=set)

    def split(self, tree: Json) -> Splitting:
        after, group = _down_to(tree, "GroupBy")
        below, scan = _down_to(group["input"], "Scan")
        if not plan.is_stream({"Scan": scan}):
            raise NotShown("it reads something else than the events")
        before = tuple(self._before(*node) for node in reversed(below))
        self._check_plain(group)
        keys = [self._key(one) for one in group["keys"]]
        order = tuple(expression(one).meta.output_name() for one in keys)
        if WINDOW_START not in order:
            raise NotShown("it does not group by window_start")
        columns: list[PartialColumn] = []
        results = tuple(
            self._result(one, columns)
            for raw in group["aggs"]
            for one in self._expanded(raw)
        )
        own = [one for one in keys if _column(one) not in OF_WINDOW]
        plain = {_column(one) for one in own} - self.overwritten - {""}
        return Splitting(
            before,
            tuple(expression(one) for one in own),
            order,
            tuple(columns),
            results,
            tuple(_after(*node) for node in reversed(after)),
            len(results),
            frozenset(plain),
        )

    def _before(self, name: str, content: Json) -> RowWise:
        step = self._row_wise(name, content)
        frame = self.schema.to_frame().lazy()
        self.schema = step.on(frame).collect_schema()
        return step

    def _row_wise(self, name: str, content: Json) -> RowWise:
        if name == "Filter":
            (predicate,) = self._expanded(content["predicate"])
            self._check_own(predicate)
            return RowWise("filter", (expression(predicate),))
        trees = [
            one
            for raw in content["exprs" if name == "HStack" else "expr"]
            for one in self._expanded(raw)
        ]
        for tree in trees:
            made = expression(tree).meta.output_name()
            if name == "Select" and _column(tree) in OF_WINDOW:
                continue
            if made in OF_WINDOW:
                raise NotShown(f"it makes a {made} of its own")
            self._check_own(tree)
            if _column(tree) != made:
                self.overwritten.add(made)
        expressions = tuple(map(expression, trees))
        return RowWise("select" if name == "Select" else "with_columns", expressions)

    def _check_own(self, tree: Json) -> None:
        """Check that an expression is row-wise, and knows nothing of the window."""
        check_row_wise(tree)
        if set(OF_WINDOW) & set(expression(tree).meta.root_names()):
            raise NotShown("it computes with the columns of the window")

    def _check_plain(self, group: Json) -> None:
        options = group["options"]
        if group["apply"] or group["predicates"] or any(options.values()):
            raise NotShown("its group_by() does more than to group")

    def _key(self, tree: Json) -> Json:
        if holds_key(tree, "Selector"):
            raise NotShown("it groups by a selector")
        if _column(tree) not in OF_WINDOW:
            self._check_own(tree)
            query = self.schema.to_frame().lazy().select(expression(tree))
            (dtype,) = query.collect_schema().dtypes()
            if dtype.is_float() or dtype.is_nested() or dtype == pl.Categorical:
                raise NotShown(f"it groups by a {dtype}")
        return tree

    def _result(self, tree: Json, columns: list[PartialColumn]) -> pl.Expr:
        """Return one output column, made of partial results that are added."""
        if set(OF_WINDOW) & set(expression(tree).meta.root_names()):
            raise NotShown("it computes with the columns of the window")
        name = expression(tree).meta.output_name()
        first = len(columns)
        result = self._replaced(tree, columns)
        check_row_wise(result)
        known = {column.name for column in columns[first:]}
        if not known or not set(expression(result).meta.root_names()) <= known:
            raise NotShown(f"the column {name!r} is not made of aggregations")
        return expression(result).alias(name)

    def _replaced(self, tree: Json, columns: list[PartialColumn]) -> Json:
        """Return an expression with its aggregations as columns of partial results."""
        form = partial_form(tree, f"__part{len(columns)}", self.schema)
        if form is not None:
            columns += form.columns
            return form.value
        name, content = only(tree)
        if name in {"Column", "Literal"}:
            return tree
        if name in {"Alias", "RenameAlias", "KeepName"}:  # the name is known already
            inner = {"Alias": 0, "RenameAlias": "expr"}
            return self._replaced(
                content[inner[name]] if name in inner else content, columns
            )
        parts = {
            "BinaryExpr": ("left", "right"),
            "Ternary": ("predicate", "truthy", "falsy"),
            "Cast": ("expr",),
        }
        if name == "Function":
            inputs = [self._replaced(one, columns) for one in content["input"]]
            return {name: {**content, "input": inputs}}
        if name not in parts:
            raise NotShown(f"{name} is not known to split")
        new = {part: self._replaced(content[part], columns) for part in parts[name]}
        return {name: {**content, **new}}

    def _expanded(self, tree: Json) -> list[Json]:
        """Return an expression of several columns as one of each."""
        selector = _selector(tree)
        if selector is None:
            return [tree]
        names = self.schema.to_frame().select(expression(selector)).columns
        return [_with(tree, selector, {"Column": name}) for name in names]


def _down_to(tree: Json, wanted: str) -> tuple[list[tuple[str, Json]], Json]:
    """Return the row-wise nodes above a node, from the top, and its content.

    Raises:
        NotShown: There is another node.
    """
    above: list[tuple[str, Json]] = []
    while True:
        name, content = only(tree)
        if name == wanted:
            return above, content
        if name == "Sort" and wanted == "GroupBy" and not content["slice"]:
            if content["sort_options"]["limit"]:
                raise NotShown("it takes some of the rows")
            tree = content["input"]  # rows of different windows have no order
            continue
        if name not in {"Filter", "HStack", "Select"}:
            raise NotShown(f"{name} is not known to split")
        above.append((name, content))
        tree = content["input"]


def _after(name: str, content: Json) -> RowWise:
    """Return a row-wise step on results."""
    kinds: dict[str, tuple[Kind, str]] = {
        "Filter": ("filter", "predicate"),
        "HStack": ("with_columns", "exprs"),
        "Select": ("select", "expr"),
    }
    kind, where = kinds[name]
    trees = content[where] if isinstance(content[where], list) else [content[where]]
    for tree in trees:
        check_row_wise(tree)
    # A select of constants alone gives one row, whatever the number of groups.
    columns = ("Column", "Selector")
    if kind == "select" and not any(
        holds_key(tree, one) for tree in trees for one in columns
    ):
        raise NotShown("it selects nothing but constants")
    return RowWise(kind, tuple(map(expression, trees)))


def _column(tree: Json) -> str:
    """Return the name of a plain column, else an empty text."""
    name, content = only(tree)
    return content if name == "Column" and isinstance(content, str) else ""


def _selector(tree: Json) -> Json | None:
    """Return the first selector inside an expression, or None."""
    if isinstance(tree, dict):
        if "Selector" in tree:
            return {"Selector": tree["Selector"]}
        tree = list(tree.values())
    if isinstance(tree, list):
        return next(filter(None, map(_selector, tree)), None)
    return None


def _with(tree: Json, old: Json, new: Json) -> Json:
    if tree == old:
        return new
    if isinstance(tree, dict):
        return {key: _with(value, old, new) for key, value in tree.items()}
    return [_with(one, old, new) for one in tree] if isinstance(tree, list) else tree
