"""Defaults of parameters: the values that a function has, not those of its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from streamlab.export.capture.expressions import Evaluation, NotPure
from streamlab.export.capture.namespace import Namespace
from streamlab.export.capture.values import Writer, same

Edit = tuple[ast.expr, str]


def defaults(
    function: FunctionType, node: ast.FunctionDef | ast.Lambda
) -> Iterator[tuple[str, ast.expr, Any]]:
    """Yield each parameter with a default: its name, the default's text and value."""
    arguments = node.args
    plain = [*arguments.posonlyargs, *arguments.args]
    values = function.__defaults__ or ()
    for one, text, value in zip(
        plain[len(plain) - len(values) :], arguments.defaults, values, strict=True
    ):
        yield one.arg, text, value
    named = function.__kwdefaults__ or {}
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield one.arg, default, named[one.arg]


def edit(
    default: ast.expr, value: Any, namespace: Namespace, writer: Writer
) -> list[Edit]:
    """Return how a default's text has to change to give its live value.

    A default was computed when the function was defined; the constant that it names
    may have another value by now, and a list may have been changed.

    Raises:
        Unwritable: The live value cannot be written.
    """
    try:
        present = Evaluation(namespace.bound).of(default)
    except NotPure:
        present = edit
    if same(present, value):
        return []
    return [(default, writer.text(value))]
