"""Joins: which rows of two inputs meet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Join:
    """What all kinds of joins have.

    Attributes:
        left: Parameter name of the left input.
        right: Parameter name of the right input.
    """

    left: str
    right: str

    @property
    def streams(self) -> tuple[str, ...]:
        """Return the names of the inputs, left first."""
        return (self.left, self.right)
