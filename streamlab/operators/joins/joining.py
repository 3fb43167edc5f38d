"""Joins: which operator runs which kind, and what all of them do alike."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final, TypeVar, cast

import polars as pl

from streamlab.errors import UsageError
from streamlab.operators.calling import Function
from streamlab.operators.operator import Failed, Operator
from streamlab.transforms.declarations import Joined
from streamlab.transforms.joins import Join
from streamlab.transforms.steps import Step

J = TypeVar("J", bound=Join)

# By name: a kind of join is imported by whoever declares it.
_MODULES: Final[Mapping[str, str]] = {
    "IntervalJoin": "streamlab.operators.joins.interval",
    "RegularJoin": "streamlab.operators.joins.regular",
    "TableJoin": "streamlab.operators.joins.lookup",
}


def build(step: Step, inputs: Mapping[str, pl.Schema], name: str) -> Operator:
    """Return the operator of a transform that joins; see ``operator_of``."""
    join = join_of(step, Join)
    for stream in join.streams:
        if stream not in inputs:
            names = " and ".join(join.streams)
            raise UsageError(
                f"{step.transform.name}() joins {names}, and there is no {stream} here",
                hint="a join comes first: its inputs are the streams of the pipeline",
            )
    module = importlib.import_module(_MODULES[type(join).__name__])
    return cast(Operator, module.build(step, inputs, name))


def join_of(step: Step, kind: type[J]) -> J:
    """Return the join that a transform declares.

    Raises:
        UsageError: It is of another kind.
    """
    needs = step.transform.needs
    if isinstance(needs, Joined) and isinstance(needs.join, kind):
        return needs.join
    message = f"{step.transform.name}() declares no {kind.__name__}"
    raise UsageError(message)


class PairsFunction:
    """A function that is called with pairs, each of which it treats by itself."""

    def __init__(self, step: Step, schema: pl.Schema) -> None:
        """Find the columns of its output.

        Args:
            step: The function with its static tables.
            schema: Columns of a pair.

        Raises:
            TransformError: It fails on no rows.
        """
        (self._parameter,) = step.transform.inputs
        self._function = Function.of(step, {self._parameter: schema})
        # What tells pairs apart where it fails; nested values are no keys in polars.
        self._by = [name for name, dtype in schema.items() if not dtype.is_nested()]

    @property
    def output_schema(self) -> pl.Schema:
        """Return the columns and dtypes of every output."""
        return self._function.empty.output.schema

    def __call__(
        self, pairs: pl.DataFrame
    ) -> tuple[pl.DataFrame, Mapping[str, pl.DataFrame], tuple[Failed, ...]]:
        """Return the output, the side outputs, and the pairs that it failed on."""
        if pairs.is_empty():
            return self._function.empty.output, self._function.empty.sides, ()
        frames = {self._parameter: pairs}
        results, failed = self._function.by_groups(frames, self._by)
        return results.output, results.sides, failed
