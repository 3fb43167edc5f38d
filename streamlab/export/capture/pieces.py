"""What a captured module is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamlab.export.capture.imports import Import
from streamlab.transforms.transform import Transform


@dataclass(frozen=True)
class Constant:
    """A name that is bound by a statement of its own.

    Attributes:
        name: The name.
        text: The statement.
        value: The live value.
    """

    name: str
    text: str
    value: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Definition:
    """A function or a class of the module.

    Attributes:
        name: Its name.
        comment: The comment lines above it.
        text: Its decorators, but not that of a transform, and its source.
        transform: The transform that it is the function of, if it is one.
        declared: Arguments of its ``sl.transform`` that say what it needs.
    """

    name: str
    comment: str
    text: str
    transform: Transform[Any, Any] | None = None
    declared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """A frame that functions use by its name, as a file of the package.

    Attributes:
        name: The name.
        text: The statement that reads it.
        file: Name of its file, among the package's tables.
        content: The file, Parquet.
    """

    name: str
    text: str
    file: str
    content: bytes = field(repr=False)


Piece = Constant | Definition | Frame


@dataclass(frozen=True)
class Taken:
    """Where a piece was taken from.

    Attributes:
        name: The piece.
        where: ``In[3]``, or a file.
    """

    name: str
    where: str

    def __str__(self) -> str:
        """Return the line of a report."""
        return f"{self.name} from {self.where}"


@dataclass(frozen=True)
class Captured:
    """What a module needs to hold the transforms.

    Attributes:
        imports: In no particular order.
        pieces: Constants, frames, functions and classes; each comes after those that
            it needs when it is defined.
        modules: Path in the package's module → text, of local files that are copied.
        packages: Top-level packages that the module and those files import.
        taken: Where each piece was taken from, in the order of the pieces.
        future: Whether annotations are not evaluated (``from __future__ …``).
        problems: What cannot be carried, each by name and with what to do.
    """

    imports: frozenset[Import]
    pieces: tuple[Piece, ...]
    modules: Mapping[str, str] = field(default_factory=dict)
    packages: frozenset[str] = frozenset()
    taken: tuple[Taken, ...] = ()
    future: bool = False
    problems: tuple[str, ...] = ()

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Return the constants."""
        return tuple(one for one in self.pieces if isinstance(one, Constant))

    @property
    def values(self) -> Mapping[str, object]:
        """Return name → live value of the constants."""
        return {one.name: one.value for one in self.constants}

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """Return the functions and classes."""
        return tuple(one for one in self.pieces if isinstance(one, Definition))

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Return the frames."""
        return tuple(one for one in self.pieces if isinstance(one, Frame))
