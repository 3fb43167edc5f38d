"""What polars' logical plan shows of a function, for every input.

The function is called on frames that have a schema and no data: reading them fails.
So a plan that comes back was made without looking at any event, and each of its nodes
and expressions is compared with the lists in ``rowwise``. What is on no list, Python
functions among it, is neither shown nor refused; it is tested on the sample.

Polars' own ``is_row_separable`` is not used: it is wrong for ``v - v.mean()``.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from streamlab.transforms import source
from streamlab.transforms.expressions import Json, LooksAcross, NotShown, holds
from streamlab.transforms.nodes import Walk
from streamlab.transforms.steps import Step
from streamlab.transforms.verdicts import (
    NOT_REPEATABLE,
    ORDER_NOT_PROMISED,
    Verdict,
    failed,
    looks_across,
)

_FOLDER = "/dev/null/streamlab"  # a file cannot be a folder, so nothing is ever there
_STREAM = f"{_FOLDER}/stream"
_ROWS_SHOWN = Verdict("shown", "each output row depends on one event (from the plan)")
_ORDER_SHOWN = Verdict("shown", "rows keep the order of the events (from the plan)")


@dataclass(frozen=True, slots=True)
class Claims:
    """What the plan says.

    Attributes:
        rows: Whether each output row depends on one event; ``shown``, ``failed`` or
            ``unknown``.
        order: Whether the output has the order of the events; the same.
        at_most_one: Whether an event is shown to give one row at most.
    """

    rows: Verdict
    order: Verdict
    at_most_one: bool


def claims(steps: Sequence[Step], input_schema: pl.Schema) -> Claims:
    """Return what the plan shows of the steps, run one after another.

    Args:
        steps: The functions with their tables.
        input_schema: Columns that the first one gets.
    """
    for step in steps:
        finding = source.changing(step.transform.function)
        if finding:
            verdict = failed(NOT_REPEATABLE, finding)
            return Claims(verdict, _no_order("the function is not repeatable"), False)
    try:
        flow = Walk(_STREAM, _table_keys(steps)).result(_plan(steps, input_schema))
    except LooksAcross as error:
        return Claims(
            looks_across(str(error)), _no_order("it looks across rows"), False
        )
    except NotShown as error:
        why = f"the plan shows nothing: {error}"
        return Claims(Verdict("unknown", why), Verdict("unknown", why), False)
    order = failed(ORDER_NOT_PROMISED, flow.disorder) if flow.disorder else _ORDER_SHOWN
    return Claims(_ROWS_SHOWN, order, flow.at_most_one)


def tree(step: Step, input_schema: pl.Schema) -> Json:
    """Return the plan of a function that gives the same for the same input.

    Args:
        step: The function of one stream, with its tables.
        input_schema: Columns that it gets.

    Raises:
        NotShown: There is no plan, or it is not all that there is.
    """
    finding = source.changing(step.transform.function)
    if finding:
        raise NotShown(finding)
    return _plan([step], input_schema)


def is_stream(node: Json) -> bool:
    """Return whether a node of a plan is the stream as it comes."""
    if not isinstance(node, dict) or list(node) != ["Scan"]:
        return False
    arguments = node["Scan"]["unified_scan_args"]
    changed = arguments["row_index"] or arguments["pre_slice"]
    return not changed and holds(node, frozenset({_STREAM}))


def _no_order(why: str) -> Verdict:
    return Verdict("unknown", f"not looked at, because {why}")


def _table_keys(steps: Sequence[Step]) -> dict[str, frozenset[str]]:
    return {
        _table_path(number, name): frozenset(table.key)
        for number, step in enumerate(steps)
        for name, table in step.transform.tables.items()
    }


def _table_path(step: int, name: str) -> str:
    return f"{_FOLDER}/{step}/{name}"


def _plan(steps: Sequence[Step], input_schema: pl.Schema) -> Json:
    """Return the plan, made twice: the same source may give another plan."""
    if not all(source.readable(step.transform.function) for step in steps):
        raise NotShown("its source cannot be read, or catches errors")
    first, second = (_serialized(steps, input_schema) for _ in range(2))
    if first != second:
        raise NotShown("it differs from one call to the next")
    return first


def _serialized(steps: Sequence[Step], input_schema: pl.Schema) -> Json:
    query = _unreadable(_STREAM, input_schema)
    try:
        for number, step in enumerate(steps):
            if step.transform.pandas:
                raise NotShown("it is written for pandas")
            tables = {
                name: _unreadable(_table_path(number, name), frame.schema)
                for name, frame in step.tables.items()
            }
            query = step.transform.function(query, **tables)
            if not isinstance(query, pl.LazyFrame):
                raise NotShown("it does not return a lazy frame")
    except OSError:
        raise NotShown("it reads rows before the query is complete") from None
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise NotShown(f"{type(error).__name__} while planning") from None
    return json.loads(_json(query), object_hook=_unwrapped)


def _unwrapped(value: Json) -> Json:
    """Take away what polars puts around a node that it has planned or will cache.

    Both carry a number that is another one each time.
    """
    match value:
        case {"IR": {"dsl": node}} | {"Cache": {"input": node, "id": _}}:
            return node
    return value


def _json(query: pl.LazyFrame) -> str:
    with warnings.catch_warnings():
        # Polars may drop the format; pyproject.toml pins the version for it.
        warnings.filterwarnings("ignore", message="'json' serialization format")
        try:
            return query.serialize(format="json")
        except (pl.exceptions.PolarsError, ImportError, TypeError, AttributeError):
            raise NotShown("it calls a Python function on the values") from None


def _unreadable(path: str, schema: pl.Schema) -> pl.LazyFrame:
    """Return a frame that can be planned with, and fails when it is read."""
    return pl.scan_parquet(path, schema=schema, glob=False)
