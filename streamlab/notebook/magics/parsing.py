"""The argument parser of a magic: its errors are ours, its help is what ``?`` shows."""

from __future__ import annotations

import argparse
import shlex
from typing import NoReturn

from streamlab.errors import UsageError, near_names


class MagicParser(argparse.ArgumentParser):
    """Parses the line of one magic.

    The ``metavar`` of an argument says what kind of name it takes (``TOPIC``,
    ``SAMPLE``, …); completion goes by it.
    """

    def __init__(self, magic: str, description: str) -> None:
        """Name the magic as it is written, such as ``%tap``, and say what it does."""
        super().__init__(
            prog=magic,
            description=description,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    @property
    def summary(self) -> str:
        """Return the first line of the description."""
        return (self.description or "").partition("\n")[0]

    @property
    def options(self) -> dict[str, argparse.Action]:
        """Return the options: each spelling with what it stands for."""
        return dict(self._option_string_actions)

    @property
    def positionals(self) -> list[argparse.Action]:
        """Return the arguments that go by their place."""
        return self._get_positional_actions()

    def of(self, line: str) -> argparse.Namespace:
        """Return the arguments of a line; quotes group words as in a shell.

        Raises:
            UsageError: The line does not fit; with near names of options.
        """
        try:
            words = shlex.split(line)
        except ValueError:
            self.error("a quotation mark is not closed")
        for word in words:
            option = word.partition("=")[0]
            if option.startswith("--") and option not in self.options:
                message = f"{self.prog} has no option {option}"
                raise UsageError(message, hint=near_names(option, sorted(self.options)))
        return self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Raise, instead of ending the process as a command line would."""
        raise UsageError(f"{self.prog}: {message}", hint=f"{self.prog}? shows its help")
