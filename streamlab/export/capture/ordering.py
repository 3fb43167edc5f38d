"""The order of a module: what is needed to define something comes before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def ordered(
    names: Sequence[str],
    early: Mapping[str, Sequence[str]],
    late: Mapping[str, Sequence[str]],
) -> list[str]:
    """Return names so that each comes after those that it needs.

    Where functions need each other that is impossible, and needless as long as only
    their calls do; what is needed to *define* something does come before it.

    Args:
        names: All of them, in the order in which they were met.
        early: Name → names that it needs to be defined.
        late: Name → names that it needs to be called.
    """
    met: list[str] = []
    for name in names:
        _visit(name, early, late, met, set())
    waiting = [name for name in met if name in set(names)]
    before = {name: required(name, early, late) & set(waiting) for name in waiting}
    placed: list[str] = []
    while waiting:
        ready = [name for name in waiting if before[name] <= set(placed)]
        taken = (ready or waiting)[0]
        placed.append(taken)
        waiting.remove(taken)
    return placed


def _visit(
    name: str,
    early: Mapping[str, Sequence[str]],
    late: Mapping[str, Sequence[str]],
    met: list[str],
    under_way: set[str],
) -> None:
    if name in met or name in under_way:
        return
    for needed in (*early.get(name, ()), *late.get(name, ())):
        _visit(needed, early, late, met, under_way | {name})
    if name not in met:
        met.append(name)


def required(
    name: str, early: Mapping[str, Sequence[str]], late: Mapping[str, Sequence[str]]
) -> set[str]:
    """Return what has to be there when a name is defined.

    A decorator is called then, so what it needs to be called has to be there, too.
    """
    found: set[str] = set()
    waiting = list(early.get(name, ()))
    while waiting:
        one = waiting.pop()
        if one not in found and one != name:
            found.add(one)
            waiting += [*early.get(one, ()), *late.get(one, ())]
    return found
