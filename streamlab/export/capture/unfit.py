"""Values that are not carried: why, and what to do."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from types import BuiltinFunctionType, CoroutineType, MethodType, ModuleType

import polars as pl


def unfit(value: object) -> str:
    """Return why a value is not carried, and what to do; never the value."""
    for kinds, sentence in _SENTENCES:
        if isinstance(value, kinds):
            return sentence
    kind = type(value)
    if kind.__module__.partition(".")[0] == "numpy":
        return "a value of numpy; make it a number or a list: .tolist()"
    if hasattr(value, "close") or kind.__module__ in {"_thread", "threading"}:
        return (
            f"an open {kind.__name__}, which belongs to this process; open it inside "
            "of the function"
        )
    if isinstance(value, Callable):  # type: ignore[arg-type]  # an ABC
        return f"an object of {kind.__name__} that is called; write a function with def"
    return f"of type {kind.__name__}; make it inside of the function"


_SENTENCES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (ModuleType, "a module that nothing installs; put its file beside the notebook"),
    (pl.Expr, "a polars expression; write it inside of the function"),
    (type, "a class that no cell and no module defines; write it with class"),
    (
        BuiltinFunctionType,
        "a method that was bound to a name; call it by its full name",
    ),
    (MethodType, "a method of an object; write a function with def"),
    (Generator, "a generator, which can be read once; make it inside of the function"),
    (CoroutineType, "a coroutine; write a function with def"),
    (io.IOBase, "an open file; declare it as a table: @sl.transform(tables={…})"),
    (Iterator, "an iterator, which can be read once; make it a list"),
)
