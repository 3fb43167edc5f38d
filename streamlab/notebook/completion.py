"""Completion of the magics' lines: names, options and values, within 0.1 s."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterable

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from streamlab.notebook.magics import MAGICS, named
from streamlab.notebook.session import Session
from streamlab.observe.workers import workers
from streamlab.settings import Settings

_LINE = re.compile(r"\s*(?:\w+\s*=\s*)?%{1,2}(?:streamlab\s+)?(\w+)\s(.*)$", re.DOTALL)
_COMMAND = re.compile(r"\s*%{1,2}streamlab\s+(\w*)$")

Matcher = Callable[[CompletionContext], SimpleMatcherResult]


def matcher(session: Session) -> Matcher:
    """Return the matcher that the shell's completer asks."""

    @context_matcher(identifier="streamlab", priority=50)  # type: ignore[untyped-decorator]  # IPython's
    def complete(context: CompletionContext) -> SimpleMatcherResult:
        return matches(session, context.text_until_cursor)

    asked: Matcher = complete
    return asked


def matches(session: Session, line: str) -> SimpleMatcherResult:
    """Return what can stand at the end of a line."""
    command = _COMMAND.match(line)
    if command:
        return _result(MAGICS, command.group(1), "magic")
    magic = _LINE.match(line)
    if not magic or magic.group(1) not in MAGICS:
        return SimpleMatcherResult(completions=[])
    name, rest = magic.groups()
    before, fragment = re.fullmatch(r"(.*?)(\S*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]  # fits every text
    return _result(candidates(session, name, _words(before), fragment), fragment, name)


def candidates(
    session: Session, name: str, before: list[str], fragment: str
) -> Iterable[str]:
    """Return the words that fit behind those of a magic's line."""
    parser = named(name).parser
    options = parser.options
    if before and (asked := options.get(before[-1])) and _takes_value(asked):
        return _values(session, asked)
    if fragment.startswith("-"):
        return [option for option in options if option.startswith("--")]
    positional = next(iter(parser.positionals), None)
    if positional is None or (positional.nargs != "*" and _given(before, options)):
        return [option for option in options if option.startswith("--")]
    return _values(session, positional)


def _values(session: Session, action: argparse.Action) -> Iterable[str]:
    """Return the values of an argument: its choices, or names of its kind."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    kinds: dict[object, Callable[[], Iterable[str]]] = {
        "TOPIC": lambda: session.broker.of("topics", session.profile),
        "SAMPLE": session.samples,
        "TRANSFORM": session.transforms,
        "RUNNING": session.running,
        "PROFILE": lambda: Settings.load().profiles,
        "GROUP": lambda: session.broker.of("groups", session.profile),
        "PIPELINE": lambda: {worker.pipeline for worker in workers()},
        "DESTINATION": lambda: ("table:", "topic:", "folder:"),
        "COMMAND": lambda: MAGICS,
    }
    return kinds.get(action.metavar, tuple)()


def _given(before: list[str], options: dict[str, argparse.Action]) -> bool:
    """Return whether a word before is neither an option nor the value of one."""
    value_follows = False
    for word in before:
        if value_follows:
            value_follows = False
        elif word in options:
            value_follows = _takes_value(options[word])
        elif not word.startswith("-"):
            return True
    return False


def _takes_value(action: argparse.Action) -> bool:
    return action.nargs != 0


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()  # a quotation is still open


def _result(names: Iterable[str], fragment: str, kind: str) -> SimpleMatcherResult:
    found = [
        SimpleCompletion(name, type=kind)
        for name in sorted(names)
        if name.startswith(fragment)
    ]
    return SimpleMatcherResult(
        completions=found, matched_fragment=fragment, ordered=True, suppress=True
    )
