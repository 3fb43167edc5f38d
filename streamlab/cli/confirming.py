"""A question on the command line that has to be answered before something is done."""

from __future__ import annotations

from streamlab.errors import UsageError


def confirmed(question: str) -> bool:
    """Ask, and return whether the answer is yes.

    Raises:
        UsageError: There is nobody to ask: standard input is at its end.
    """
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError as error:
        print()
        message = "nothing was done: there is nobody to ask"
        raise UsageError(message, hint="--yes does it without asking") from error
    return answer.strip().lower() == "y"
