"""``streamlab init``."""

from __future__ import annotations

import re

import pytest

from streamlab.cli import main
from streamlab.settings import FILE_NAME, Settings


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, with nobody's choice of profile."""
    monkeypatch.delenv("STREAMLAB_PROFILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_it_writes_can_be_loaded(folder):
    """The file changes nothing as it is: the default is the local stack."""
    assert main(["init"]) == 0
    assert Settings.load(folder) == Settings(home=folder, profiles={})


def test_its_examples_are_right(folder):
    """With the comment signs removed the examples are a valid profile."""
    main(["init"])
    path = folder / FILE_NAME
    example = re.compile(
        r"""^# (?=\[|"[a-z.]+" = |dsn = |url = |token = )""", re.MULTILINE
    )
    path.write_text(example.sub("", path.read_text("utf-8")), encoding="utf-8")
    work = Settings.load(folder).profile("work")
    assert work.kafka["sasl.password"] == "${env:KAFKA_PASSWORD}"
    assert work.registry["token"] == "${env:REGISTRY_TOKEN}"
    assert work.open_secrets == ()
    assert work.postgres == {"dsn": "${env:WAREHOUSE_DSN}"}


def test_an_existing_file_stays(folder, capsys):
    """A second call changes nothing and says so."""
    (folder / FILE_NAME).write_text("# mine\n")
    assert main(["init"]) == 1
    assert (folder / FILE_NAME).read_text() == "# mine\n"
    assert "was not changed" in capsys.readouterr().err
