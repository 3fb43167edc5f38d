"""Finding how a function splits: its plan, read from the stream up to the result.

Whatever the plan does not show to be row-wise steps, one ``group_by`` of aggregations
that split, and row-wise steps again, keeps its rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from streamlab.transforms import plan
from streamlab.transforms.aggregates import PartialColumn, expression, partial_form
from streamlab.transforms.expressions import (
    Json,
    LooksAcross,
    NotShown,
    check_row_wise,
    holds_key,
    only,
)
from streamlab.transforms.splitting import OF_WINDOW, Kind, RowWise, Splitting
from streamlab.transforms.steps import Step
from streamlab.transforms.windows import WINDOW_START

ROUNDS = ""  # no column: stands for the one that is being read
_SMOOTH = frozenset({"Plus", "Minus", "Multiply", "TrueDivide"})


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
    rounded: set[str] = field(default_factory=set)

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
            tuple(self._after(*node) for node in reversed(after)),
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
        self.rounded.discard(name)
        result = self._replaced(tree, columns)
        if ROUNDS in self.rounded:
            self.rounded = self.rounded - {ROUNDS} | {name}
            _check_smooth(tree)
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
            self.rounded |= {ROUNDS} if form.rounds else set()
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

    def _after(self, name: str, content: Json) -> RowWise:
        """Return a row-wise step on results."""
        kinds: dict[str, tuple[Kind, str]] = {
            "Filter": ("filter", "predicate"),
            "HStack": ("with_columns", "exprs"),
            "Select": ("select", "expr"),
        }
        kind, where = kinds[name]
        found = content[where]
        trees = found if isinstance(found, list) else [found]
        for tree in trees:
            self._check_after(kind, tree)
        # A select of constants alone gives one row, whatever the number of groups.
        columns = ("Column", "Selector")
        if kind == "select" and not any(
            holds_key(tree, one) for tree in trees for one in columns
        ):
            raise NotShown("it selects nothing but constants")
        return RowWise(kind, tuple(map(expression, trees)))

    def _check_after(self, kind: Kind, tree: Json) -> None:
        """Check that a step on results is row-wise, and makes no more of digits."""
        check_row_wise(tree)
        if only(tree)[0] == "Selector" or not self.rounded:
            return
        unknown = holds_key(tree, "Selector")
        if not unknown and not self.rounded & set(expression(tree).meta.root_names()):
            return
        if unknown or kind == "filter":
            raise NotShown("it decides by digits that depend on how the rows are cut")
        _check_smooth(tree)
        self.rounded.add(expression(tree).meta.output_name())

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


def _check_smooth(tree: Json) -> None:
    """Check that a small change of an aggregation makes a small one of an expression.

    What depends on how rows are cut in its last digits only must not decide more.

    Raises:
        NotShown: It may make a large one.
    """
    name, content = only(tree)
    if name in {"Agg", "Len", "Column", "Literal"}:
        return
    if name == "BinaryExpr" and content["op"] in _SMOOTH:
        _check_smooth(content["left"])
        _check_smooth(content["right"])
        return
    inner = {"Alias": 0, "RenameAlias": "expr"}
    if name in inner:
        _check_smooth(content[inner[name]])
        return
    raise NotShown("it decides by digits that depend on how the rows are cut")


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
