"""``%connect`` in JupyterLab: a card of steps, on a broker that asks who comes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.secured_kafka import PASSWORD

pytestmark = [pytest.mark.notebook, pytest.mark.integration, pytest.mark.slow]

LOAD = "%load_ext streamlab"


@pytest.fixture
def profiles(notebooks, secured):
    """Add profiles of the secured broker to the settings of the notebooks."""
    path = notebooks / "streamlab.toml"
    before = path.read_text(encoding="utf-8")
    (notebooks / "password").write_text(PASSWORD)
    wrong = {"sasl.password": "wrong-one"}
    for name, changed in (("work", {}), ("mistaken", wrong)):
        options = secured.options(sasl_password="${file:password}") | changed
        lines = "".join(f'"{key}" = "{value}"\n' for key, value in options.items())
        with path.open("a", encoding="utf-8") as file:
            file.write(f"[profiles.{name}.kafka]\n{lines}")
    yield
    path.write_text(before, encoding="utf-8")


def test_each_step_has_a_line(lab, front, profiles, secured):
    """What was tested is shown, and where one is; the password is not."""
    notebook = lab.open(front.page, [LOAD, "%connect work"])
    notebook.run_all()
    shown = notebook.output(1)
    expect(shown).to_contain_text("connected to work")
    expect(shown).to_contain_text("SCRAM-SHA-512")
    assert shown.locator(".sl-good").count() == 6
    expect(shown).to_contain_text(secured.at("SASL"))


def test_the_step_that_fails_is_shown_before_the_error(lab, front, profiles):
    """The card has the reason and the hint; the cell fails."""
    notebook = lab.open(front.page, [LOAD, "%connect mistaken"])
    notebook.run_all()
    shown = notebook.output(1)
    expect(shown).to_contain_text("not connected to mistaken")
    expect(shown.locator(".sl-ill")).to_have_count(1)
    expect(shown).to_contain_text("ConnectorError: kafka: login: the broker does not")
    expect(shown).to_contain_text("kafka.sasl.password")
    # Front ends set what stands between two dollar signs as a formula.
    expect(shown).to_contain_text("${env:NAME} or ${file:PATH}")


def test_a_missing_right_is_shown_with_its_command(lab, front, profiles):
    """Rights that are asked for are lines of the card."""
    notebook = lab.open(front.page, [LOAD, "%connect work --topic flights"])
    notebook.run_all()
    shown = notebook.output(1)
    expect(shown).to_contain_text("connected to work, but 2 of 8 tests failed")
    expect(shown).to_contain_text("READ on topic 'flights' is missing")
    expect(shown).to_contain_text("kafka-acls --bootstrap-server BROKER --add")
