"""Which operator runs which declaration."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

import polars as pl

from streamlab.errors import UsageError
from streamlab.formats.changes import OP
from streamlab.operators.operator import Operator
from streamlab.transforms.declarations import Folded, Joined, Windowed
from streamlab.transforms.steps import Step

_MODULES: Mapping[type, str] = {
    Windowed: "streamlab.operators.windows.windowed",
    Folded: "streamlab.operators.folds.folding",
    Joined: "streamlab.operators.joins.joining",
}


def operator_of(step: Step, inputs: Mapping[str, pl.Schema], name: str) -> Operator:
    """Return the operator of a transform that declares a need.

    Args:
        step: The transform with its static tables.
        inputs: Name of a stream → the columns of its rows.
        name: Unique among the operators of the chain.

    Raises:
        UsageError: The declaration does not fit the columns.
        TransformError: The function fails on empty frames, or its output is not what
            the declaration needs.
    """
    _refuse_changes(step, inputs)
    module = importlib.import_module(_MODULES[type(step.transform.needs)])
    return cast(Operator, module.build(step, inputs, name))


def _refuse_changes(step: Step, inputs: Mapping[str, pl.Schema]) -> None:
    """Refuse to aggregate rows that are changes, unless the function reads them so.

    Raises:
        UsageError: With what to declare.
    """
    needs, name = step.transform.needs, step.transform.name
    if not isinstance(needs, Windowed | Folded) or needs.changelog:
        return
    if any(OP in columns for columns in inputs.values()):
        message = f"{name}() would take changes for events: its rows carry {OP!r}"
        raise UsageError(
            f"{message}, and an update or a delete would count once more",
            hint='let the transform before it give emit="final"; or, where the '
            "function reads a log of changes, declare changelog=True",
        )
