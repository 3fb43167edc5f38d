"""A YAML file as nodes that know their line, so that a mistake can be pointed at."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from streamlab.errors import SchemaError, first_line, near_names

MAX_BYTES = 4 * 2**20  # a contract is written by people

_KINDS = {
    yaml.MappingNode: "a mapping",
    yaml.SequenceNode: "a list",
    yaml.ScalarNode: "a single value",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One node of a file.

    Attributes:
        path: The file.
        node: What the parser found there.
        place: Where in the document it is, for people: ``schema[0].properties``.
    """

    path: Path
    node: yaml.Node
    place: str

    def error(self, message: str, *, hint: str = "") -> SchemaError:
        """Return an error that begins with file and line."""
        mark = self.node.start_mark
        line = mark.line + 1 if mark else 1
        return SchemaError(f"{self.path}:{line}: {message}", hint=hint)

    def keys(self, known: Collection[str] | None = None) -> dict[str, Part]:
        """Return the parts of a mapping by key.

        Args:
            known: The keys there may be; None for any.

        Raises:
            SchemaError: It is no mapping, a key is there twice, or is not known.
        """
        found: dict[str, Part] = {}
        for key, value in self._expect(yaml.MappingNode).value:
            at = Part(self.path, key, self.place)
            name = at.text()
            if name in found:
                raise at.error(f"{name!r} is there twice in {self.place}")
            if known is not None and name not in known:
                raise at.error(
                    f"unknown key {name!r} in {self.place}",
                    hint=near_names(name, sorted(known)),
                )
            place = f"{self.place}.{name}" if self.place else name
            found[name] = Part(self.path, value, place)
        return found

    def items(self) -> Iterator[Part]:
        """Yield the parts of a list.

        Raises:
            SchemaError: It is no list.
        """
        for number, item in enumerate(self._expect(yaml.SequenceNode).value):
            yield Part(self.path, item, f"{self.place}[{number}]")

    def text(self) -> str:
        """Return a text.

        Raises:
            SchemaError: It is none; ``no`` and ``12`` are none without quotes.
        """
        value = self._expect(yaml.ScalarNode).value
        if self.node.tag != "tag:yaml.org,2002:str" or not value:
            raise self.error(
                f"{self.place} must be a text, not {value!r}",
                hint=f'put it in quotes: "{value}"' if value else "write a name",
            )
        return str(value)

    def flag(self) -> bool:
        """Return true or false.

        Raises:
            SchemaError: It is neither.
        """
        value = self._expect(yaml.ScalarNode).value
        if self.node.tag != "tag:yaml.org,2002:bool":
            raise self.error(f"{self.place} must be true or false, not {value!r}")
        return str(value).lower() in {"true", "yes", "on"}

    def _expect(self, kind: type[yaml.Node]) -> yaml.Node:
        if not isinstance(self.node, kind):
            found = _KINDS.get(type(self.node), "something else")
            raise self.error(
                f"{self.place or 'the file'} must be {_KINDS[kind]}, not {found}"
            )
        return self.node


class _WithoutAliases(yaml.SafeLoader):
    """Refuses aliases: a few lines of them can stand for billions of values."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # no stub
            raise yaml.composer.ComposerError(
                None, None, "aliases are not read, write it out", event.start_mark
            )
        return super().compose_node(parent, index)


def read(path: Path) -> Part:
    """Return the root of a YAML file. No value is built, and no tag is obeyed.

    Raises:
        SchemaError: It cannot be read, is not YAML, is too large, or has an alias.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SchemaError(
            f"{path} cannot be read: {error.strerror}",
            hint="check the path; it counts from the current folder",
        ) from error
    if len(content) > MAX_BYTES:
        raise SchemaError(f"{path} has more than {MAX_BYTES // 2**20} MiB")
    try:
        root = yaml.compose(content, Loader=_WithoutAliases)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise SchemaError(f"{path}{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SchemaError(f"{path}: not YAML: {first_line(error)}") from error
    except RecursionError:
        raise SchemaError(f"{path} is nested too deeply") from None
    if root is None:
        raise SchemaError(f"{path} is empty")
    return Part(path, root, "")
