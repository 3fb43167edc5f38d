"""The transforms that a pipeline file names, imported from ``module:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from streamlab.errors import PipelineError, first_line, near_names
from streamlab.pipelines.document import Document
from streamlab.transforms.transform import Transform


def transforms_of(
    document: Document, head: dict[str, Any], folder: Path
) -> tuple[Transform[Any, Any], ...]:
    """Return the transforms that ``[pipeline]`` names, in order.

    Args:
        document: The file, for the places of mistakes.
        head: The keys of ``[pipeline]``.
        folder: The file's folder, whose modules can be imported.

    Raises:
        PipelineError: A name is malformed, cannot be imported, or is no transform.
    """
    if "transform" in head and "transforms" in head:
        message = "write transform or transforms, not both"
        raise document.error("pipeline", "transforms", message)
    key = "transform" if "transform" in head else "transforms"
    written = head.get(key, [])
    names = [written] if isinstance(written, str) else written
    if not _are_texts(names):
        message = f"{key} must be 'module:function', or a list of them"
        raise document.error("pipeline", key, message)
    try:
        return named(names, folder)
    except PipelineError as error:
        raise document.error(
            "pipeline", key, error.message, error.hint
        ) from error.__cause__


def named(names: Sequence[str], folder: Path) -> tuple[Transform[Any, Any], ...]:
    """Return the transforms that ``module:function`` texts name, in order.

    Args:
        names: Such as ``flows:delayed``.
        folder: Its modules can be imported; the root of the package if it is one.

    Raises:
        PipelineError: A name is malformed, cannot be imported, or is no transform.
    """
    with _importable(folder):
        _forget({name.partition(":")[0] for name in names}, _root(folder))
        return tuple(_transform(name, folder) for name in names)


def _transform(name: str, folder: Path) -> Transform[Any, Any]:
    module_name, colon, function = name.partition(":")
    if not (colon and function and module_name):
        message = f"{name!r} does not name a transform"
        hint = 'write the module and the function, such as "flows:delayed"'
        raise PipelineError(message, hint=hint)
    module = _module(module_name, folder)
    found = getattr(module, function, None)
    if isinstance(found, Transform):
        return found
    if callable(found):
        message = f"{function} in {module_name} is a plain function"
        raise PipelineError(message, hint=f"write @sl.transform above def {function}")
    known = sorted(n for n, v in vars(module).items() if isinstance(v, Transform))
    message = f"the module {module_name} has no transform {function!r}"
    raise PipelineError(message, hint=near_names(function, known))


def _module(name: str, folder: Path) -> ModuleType:
    """Import a module; a failure inside of it is told without a traceback."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            message = f"there is no module {name!r} to import the transform from"
            hint = f"modules are searched in {_root(folder)}"
            raise PipelineError(message, hint=hint) from error
        message = f"the module {name} needs {error.name!r}, which is not installed"
        raise PipelineError(message) from error
    except Exception as error:
        message = (
            f"importing {name} failed with {type(error).__name__}: "
            f"{first_line(error)} ({_place(error, _root(folder))})"
        )
        raise PipelineError(message) from error


def _place(error: Exception, root: Path) -> str:
    """Return ``file:line`` of the user's own code that an import failed at."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(root)]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _forget(modules: Collection[str], root: Path) -> None:
    """Have modules that lie beside the file imported anew.

    A process may load two pipelines whose modules have one name, or one pipeline
    again after it was changed: each load takes the file as it is now, from its own
    folder. Functions that were loaded before keep what they have.
    """
    own = {
        package
        for package in (module.partition(".")[0] for module in modules)
        if package not in sys.stdlib_module_names
        and ((root / f"{package}.py").exists() or (root / package).is_dir())
    }
    for name in list(sys.modules):
        if name.partition(".")[0] in own:
            del sys.modules[name]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules beside the file be imported, before any installed namesake."""
    entry = str(_root(folder))
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(entry)


def _root(folder: Path) -> Path:
    """Return the folder to import from: the first one up that is not a package."""
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _are_texts(names: Sequence[Any]) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)
