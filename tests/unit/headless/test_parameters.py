"""What the cell tagged ``parameters`` declares."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from streamlab import headless
from streamlab.errors import UsageError, WrongParameters
from streamlab.headless.parameters import MISSING, Parameter


def declared(folder: Path, *lines: str) -> dict[str, Parameter]:
    """Return what a notebook with these lines declares."""
    path = folder / "n.py"
    path.write_text("\n".join(["# %% [markdown]", "# # Title", "", *cell(*lines)]))
    return headless.parameters(path)


def cell(*lines: str) -> list[str]:
    """Return the lines of a parameters cell."""
    return ['# %% tags=["parameters"]', *lines, "", "# %%", "print(1)"]


@pytest.mark.parametrize(
    ("line", "kind", "default"),
    [
        ("rows = 20_000", "int", 20_000),
        ("share = 0.5", "float", 0.5),
        ("topic = 'flights'", "str", "flights"),
        ("wait = False", "bool", False),
        ("names = ['a', 'b']", "list", ["a", "b"]),
        ("limits = {'a': -1}", "dict", {"a": -1}),
        ("rows: int", "int", MISSING),
        ("rows: int | None = None", "int", None),
        ("rows: 'float' = 1.5", "float", 1.5),
        ("day: list[int] = [1]", "list", [1]),
        ("carrier: Literal['UA', 'AA'] = 'UA'", "Literal", "UA"),
        ("carrier: typing.Literal[1, 2] = 2", "Literal", 2),
    ],
)
def test_a_declaration_has_a_type_and_a_default(
    tmp_path: Path, line: str, kind: str, default: object
) -> None:
    """The annotation is the type, and without one that of the default."""
    (found,) = declared(tmp_path, line).values()
    assert (found.kind.name, found.default) == (kind, default)


@pytest.mark.parametrize(
    ("line", "low", "high", "description"),
    [
        ("n = 5  # 1..1_000_000: events to look at", 1, 1_000_000, "events to look at"),
        ("n = 5  # 1.. at least one", 1, None, "at least one"),
        ("n = -5  # -9..9", -9, 9, ""),
        ("n = 0.5  # 0.25..0.75: part", 0.25, 0.75, "part"),
        ("n = 0.5  # ..1e3", None, 1000.0, ""),
        ("n = 5  # events to look at", None, None, "events to look at"),
        ("n = 5  # ... and so on", None, None, "... and so on"),
        (
            "n: date = date(2013, 1, 1)  # 2013-01-01..2013-12-31: a day",
            date(2013, 1, 1),
            date(2013, 12, 31),
            "a day",
        ),
        (
            "n: datetime = datetime(2013, 1, 1)  # 2013-01-01T05:30..",
            datetime(2013, 1, 1, 5, 30),  # noqa: DTZ001 -- as it is written
            None,
            "",
        ),
    ],
)
def test_a_comment_gives_the_range_and_a_description(
    tmp_path: Path, line: str, low: object, high: object, description: str
) -> None:
    """The range is the first word of the comment; one side may be open."""
    found = declared(tmp_path, line)["n"]
    assert (found.low, found.high, found.description) == (low, high, description)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("n = 0  # 1..9", "the default is not allowed: n is 0"),
        ("n: int = 'x'", "the default of n is not an int"),
        ("n = 'x'  # 1..9", "str has no order"),
        ("n = 5  # 1..many9", "is not of int"),
        ("n = None", "n has no type"),
        ("n = print", "n has no type"),
        ("n: Path = 'x'", "a type that parameters cannot have: Path"),
        ("a, b = 1, 2", "one assignment to one name"),
        ("a = b = 1", "one assignment to one name"),
        ("import os; os.remove('x')", "one assignment to one name"),
        ("%matplotlib inline", "is not plain Python"),
        ("api_token = 'abc'", "api_token is named like a secret"),
    ],
)
def test_what_is_no_declaration_is_told_with_its_line(
    tmp_path: Path, line: str, told: str
) -> None:
    """A cell that cannot be read as declarations is refused before anything runs."""
    with pytest.raises(WrongParameters, match="line 1 of its parameters cell") as error:
        declared(tmp_path, line)
    assert told in str(error.value)


def test_nothing_is_executed(tmp_path: Path) -> None:
    """A default that is a call is kept as text, and not called."""
    made = tmp_path / "made"
    line = f"n: str = open({str(made)!r}, 'w').name"
    assert declared(tmp_path, line)["n"].kind.name == "str"
    assert not made.exists()


def test_a_notebook_without_the_cell_takes_none(tmp_path: Path) -> None:
    """Without a cell tagged parameters there are no parameters."""
    (tmp_path / "n.py").write_text("# %%\nrows = 5\n")
    assert headless.parameters(tmp_path / "n.py") == {}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("gone.py", None, "there is no notebook"),
        ("n.txt", "x", "is not a notebook"),
        ("n.ipynb", "{", "cannot be read as a notebook"),
    ],
)
def test_what_is_no_notebook_is_told(
    tmp_path: Path, name: str, content: str | None, told: str
) -> None:
    """A path that leads to no notebook is one readable message."""
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=told):
        headless.parameters(tmp_path / name)


@pytest.mark.parametrize("function", [headless.run, headless.render])
def test_one_notebook_need_not_be_a_list(function, tmp_path, monkeypatch):
    """A text is a path, not a list of letters."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no notebook missing\.py"):
        function("missing.py")
