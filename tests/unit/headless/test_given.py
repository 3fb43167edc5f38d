"""Values against declarations: names, types, ranges, references."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import nbformat
import pytest

from streamlab.errors import UsageError, WrongParameters
from streamlab.headless import given
from streamlab.headless.given import Given, Written
from streamlab.headless.parameters import declared

CELL = """\
from datetime import date
from typing import Literal
rows: int = 20_000  # 1..1_000_000: events to look at
share: float = 0.5  # 0..1
carrier: Literal["UA", "AA"] = "UA"
verbose: bool = False
since: date = date(2013, 1, 1)  # 2013-01-01..2013-12-31
names: list[str] = []
limits: dict[str, int] = {}
most: int | None = None
password: str = ""
topic: str = "flights"
"""


def checked(folder: Path, **values: Any) -> Given:
    """Check values against the cell above."""
    cell = nbformat.v4.new_code_cell(CELL, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    found = declared(notebook, "n.py")
    return given.checked(found, values, notebook="n.py", folder=folder)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("rows", "7", "rows = 7"),
        ("share", "1", "share = 1.0"),
        ("carrier", "AA", "carrier = 'AA'"),
        ("verbose", "true", "verbose = True"),
        ("since", "2013-02-03", "since = date.fromisoformat('2013-02-03')"),
        ("names", "[a, b]", "names = ['a', 'b']"),
        ("limits", "{a: 1}", "limits = {'a': 1}"),
        ("most", "5", "most = 5"),
        ("most", "None", "most = None"),
        ("topic", "5", "topic = '5'"),
        ("topic", 'it\'s "x"\n1', "topic = 'it\\'s \"x\"\\n1'"),
    ],
)
def test_a_text_means_what_the_type_says(
    tmp_path: Path, name: str, text: str, code: str
) -> None:
    """A text of the command line becomes a value, and the value a line of code."""
    assert checked(tmp_path, **{name: Written(text)}).code == f"# Parameters\n{code}"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("rows", Written("many"), "rows must be an int, and is 'many'"),
        ("rows", "7", "rows must be an int, and is '7'"),
        ("rows", True, "rows must be an int, and is bool"),
        ("rows", 7.5, "rows must be an int, and is float"),
        ("rows", 0, "rows is 0, and must be in 1..1000000"),
        ("rows", 2_000_000, "must be in 1..1000000"),
        ("share", float("nan"), "share is nan, and must be in"),
        ("carrier", Written("UAL"), "carrier must be one of 'UA', 'AA'"),
        ("verbose", Written("yes"), "verbose must be a bool"),
        ("since", Written("2014-01-01"), "must be in 2013-01-01..2013-12-31"),
        ("names", ["a", 1], "names must be a list"),
        ("limits", {"a": "b"}, "limits must be a dict"),
        ("limits", {1: 1}, "limits must be a dict"),
        ("most", Written("x"), "most must be an int or None"),
        ("topic", date(2013, 1, 1), "topic must be a str, and is date"),
        ("row", 5, "there is no parameter 'row'; did you mean 'rows'?"),
        ("rows", Written("${env:ROWS}"), "a reference is a text"),
        ("password", "hunter2", "password is named like a secret"),
        ("topic", "postgres://me:pw@host/db", "topic holds a password"),
        ("topic", "${env:STREAMLAB_NOT_SET}", "STREAMLAB_NOT_SET is not set"),
    ],
)
def test_a_value_that_does_not_fit_is_told(
    tmp_path: Path, name: str, value: object, told: str
) -> None:
    """Names, types and ranges are checked, where papermill checks none."""
    with pytest.raises(WrongParameters) as error:
        checked(tmp_path, **{name: value})
    assert told in str(error.value)
    assert "hunter2" not in str(error.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """One message has every problem."""
    with pytest.raises(WrongParameters) as error:
        checked(tmp_path, rows=0, carier="UA", share="x")
    assert len(error.value.problems) == 3


def test_a_parameter_without_default_must_be_given(tmp_path: Path) -> None:
    """A declaration without a value is a parameter that has to be given."""
    cell = nbformat.v4.new_code_cell("topic: str", metadata={"tags": ["parameters"]})
    found = declared(nbformat.v4.new_notebook(cells=[cell]), "n.py")
    with pytest.raises(WrongParameters, match="topic has no default"):
        given.checked(found, {}, notebook="n.py", folder=tmp_path)


def test_a_reference_is_resolved_in_the_kernel_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code, report and repr have the reference, never its content."""
    monkeypatch.setenv("STREAMLAB_TEST_SECRET", "hunter2")
    reference = "${env:STREAMLAB_TEST_SECRET}"
    made = checked(tmp_path, password=reference)
    assert f"password = _resolved('{reference}')" in made.code
    assert made.references == (reference,)
    assert "hunter2" not in repr(made)


def test_code_of_a_value_makes_that_value(tmp_path: Path) -> None:
    """The lines that are injected give the values back, infinities included."""
    namespace: dict[str, Any] = {}
    code = checked(tmp_path, names=["a'\n\\"], limits={"x": 1}, since="2013-05-05").code
    exec("from datetime import date\n" + code, namespace)
    assert namespace["names"] == ["a'\n\\"]
    assert namespace["since"] == date(2013, 5, 5)


def test_a_name_given_twice_makes_a_set_for_each_value() -> None:
    """Two values of one parameter and two of another make four runs."""
    sets = given.of_words(["a=1", "a=2", "b=x=y", "b=z"])
    assert [tuple(each.values()) for each in sets] == [
        ("1", "x=y"),
        ("1", "z"),
        ("2", "x=y"),
        ("2", "z"),
    ]


def test_a_file_has_one_set_or_a_list_of_them(tmp_path: Path) -> None:
    """YAML's values keep their types, and the command line goes on top."""
    path = tmp_path / "p.yaml"
    path.write_text("- {rows: 5, carrier: UA}\n- {rows: 6}\n")
    sets = given.crossed(given.of_file(path), given.of_words(["rows=7"]))
    assert sets == [{"rows": "7", "carrier": "UA"}, {"rows": "7"}]


@pytest.mark.parametrize("text", ["- 5\n", "5\n", "a: [\n", "- {1: 2}\n"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    """A file with anything else is a usage error."""
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(UsageError, match="parameter file"):
        given.of_file(tmp_path / "p.yaml")


@pytest.mark.parametrize("word", ["rows", "=5", "a b=1"])
def test_a_word_without_name_and_value_is_refused(word: str) -> None:
    """``-p`` takes name=value."""
    with pytest.raises(UsageError, match="is not a parameter"):
        given.of_words([word])
