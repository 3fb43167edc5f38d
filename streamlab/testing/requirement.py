"""The assertion of the conformance checks, which also works under ``python -O``."""

from __future__ import annotations


def require(condition: bool, message: str) -> None:
    """Raise AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)
