"""Loading the extension: once, beside others, and taken back whole."""

import subprocess
import sys

import pytest
from IPython.core.magic import MagicsManager

import streamlab as sl
from streamlab.errors import StreamlabError
from streamlab.notebook import extension
from streamlab.notebook.magics import MAGICS

LIST_MAGICS = """
from ipykernel.zmqshell import ZMQInteractiveShell as Shell
magics = Shell.instance().magics_manager.magics
print(*magics["line"], *magics["cell"])
"""


def test_no_magic_has_the_name_of_a_builtin_one():
    """IPython's and ipykernel's own magics stay what they are."""
    asked = [sys.executable, "-c", LIST_MAGICS]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    found = done.stdout.split()
    assert "run" in found
    assert not set(MAGICS) & set(found)


def test_a_magic_of_another_extension_is_not_replaced(bare_shell):
    """The name stays with whoever had it, and %streamlab NAME works."""
    bare_shell.register_magic_function(lambda _line: "theirs", magic_name="stop")
    with pytest.warns(UserWarning, match="%stop"):
        extension.load(bare_shell)
    assert bare_shell.run_line_magic("stop", "") == "theirs"
    assert "running" in bare_shell.run_line_magic("streamlab", "stop").facts


def test_loading_twice_changes_nothing(shell):
    """A second load keeps the session, and evaluates each cell once."""
    before = extension.loaded(shell)
    extension.load(shell)
    assert extension.loaded(shell) is before
    watchers = [
        each
        for each in shell.events.callbacks["post_run_cell"]
        if "CellWatch" in repr(each)
    ]
    assert len(watchers) == 1


def test_unloading_takes_everything_back(bare_shell):
    """Magics, error handling, completion and displays are as before."""

    def state():
        magics: MagicsManager = bare_shell.magics_manager
        return (
            set(magics.magics["line"]),
            set(magics.magics["cell"]),
            bare_shell.custom_exceptions,
            list(bare_shell.Completer.custom_matchers),
            set(bare_shell.display_formatter.formatters["text/html"].type_printers),
            len(bare_shell.events.callbacks["post_run_cell"]),
        )

    before = state()
    extension.load(bare_shell)
    assert state() != before
    extension.unload(bare_shell)
    assert state() == before


def test_reload_ext_works(shell):
    """``%reload_ext streamlab`` leaves a working extension."""
    shell.run_line_magic("reload_ext", "streamlab")
    assert shell.run_line_magic("stop", "").facts == {"running": "0"}


@pytest.mark.parametrize("name", sorted(MAGICS))
def test_every_magic_has_help(shell, name, capsys):
    """``%name?`` shows what the magic does and takes."""
    shell.run_cell(f"%{name}?")
    assert f"%{name}" in capsys.readouterr().out


def test_an_error_of_ours_is_one_message(shell, capsys):
    """No traceback for a mistake of the user, whether in a magic or a plain cell."""
    result = shell.run_cell("%lag")
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert "%lag: the following arguments are required" in shown.out
    assert isinstance(result.error_in_exec, StreamlabError)


def test_an_error_of_ours_from_plain_code_is_one_message(shell, capsys):
    """Python code gets the same treatment as a magic."""
    shell.run_cell("import streamlab as sl\nsl.transform(lambda a, b: a)")
    shown = capsys.readouterr().out
    assert "takes 2 streams" in shown
    assert "Hint:" in shown
    assert "Traceback" not in shown


def test_other_errors_keep_their_traceback(shell, capsys):
    """The user's own exceptions are shown as always."""
    shell.run_cell("1 / 0")
    assert "Traceback" in capsys.readouterr().out


def test_the_handler_of_another_extension_goes_on(bare_shell, capsys):
    """Error handlers that were there first still get their exceptions."""
    seen = []
    bare_shell.set_custom_exc(
        (KeyError,), lambda *given, **_more: seen.append(given[1]) or []
    )
    extension.load(bare_shell)
    bare_shell.run_cell("{}['missing']")
    bare_shell.run_cell("%stop nothing")
    assert seen == [KeyError]
    assert "nothing" in capsys.readouterr().out


def test_a_terminal_escape_in_a_message_is_written_out(shell, capsys):
    """An error text cannot repaint the terminal."""
    shell.user_ns["StreamlabError"] = sl.StreamlabError
    shell.run_cell("raise StreamlabError('bad \\x1b[31m value')")
    assert "bad \\x1b[31m value" in capsys.readouterr().out
