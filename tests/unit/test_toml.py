"""A TOML file that knows its lines."""

from __future__ import annotations

import pytest

from streamlab.errors import PipelineError, SettingsError
from streamlab.toml import TomlFile

TEXT = """\
top = 1

[a."b.c".d]
'quoted key' = 2
plain.nested = 3

[[list]]
"""


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("top",), 1),
        (("a",), 3),
        (("a", "b.c", "d"), 3),
        (("a", "b.c", "d", "quoted key"), 4),
        (("a", "b.c", "d", "plain", "nested"), 5),
        (("a", "b.c", "d", "absent"), 3),
    ],
)
def test_a_key_has_its_line(tmp_path, names, line):
    """A key, a table, and for an absent key the nearest table are found."""
    path = tmp_path / "x.toml"
    path.write_text(TEXT)
    assert TomlFile.read(path, SettingsError).place(*names) == f"{path}:{line}"


def test_a_name_that_is_nowhere_has_the_file(tmp_path):
    """Without any line the place is the file."""
    path = tmp_path / "x.toml"
    path.write_text("")
    assert TomlFile.read(path, SettingsError).place("absent") == str(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = ", b"a = 1\na = 2\n", None])
def test_what_cannot_be_read_is_the_errors_kind(tmp_path, content):
    """Whoever reads a file chooses the class of its mistakes; the file is named."""
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"x\.toml"):
        TomlFile.read(path, PipelineError)
