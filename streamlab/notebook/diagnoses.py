"""How a doctor's findings look in a notebook: a line for each step."""

from __future__ import annotations

from streamlab.connectors.diagnosis import MARKS, Diagnosis, State, Step
from streamlab.notebook import markup
from streamlab.notebook.markup import Html

COLOURS: dict[State, str] = {
    "ok": "sl-good",
    "warn": "sl-soft",
    "failed": "sl-ill",
    "skipped": "sl-faint",
}
SLOW_S = 0.5
"""A step that takes longer than this says so."""


def html(diagnosis: Diagnosis) -> Html:
    """Return the steps and the facts as a card."""
    facts = [markup.facts(_facts(diagnosis))] if diagnosis.facts else []
    steps = markup.element("div", *map(_step, diagnosis.steps), css="sl-steps")
    kind = "" if diagnosis.ok else "sl-bad"
    return markup.card(_title(diagnosis), *facts, steps, kind=kind)


def plain(diagnosis: Diagnosis) -> str:
    """Return the same for a terminal."""
    return markup.visible(f"{_title(diagnosis)}\n{diagnosis}")


def _title(diagnosis: Diagnosis) -> str:
    if not diagnosis.connected:
        return f"not connected to {diagnosis.profile}"
    missing = sum(step.state == "failed" for step in diagnosis.steps)
    but = f", but {missing} of {len(diagnosis.steps)} tests failed" if missing else ""
    return f"connected to {diagnosis.profile}{but}"


def _facts(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    return [(name, value) for name, value in diagnosis.facts.items() if value]


def _step(step: Step) -> Html:
    seconds = f" ({markup.duration(step.seconds)})" if step.seconds > SLOW_S else ""
    told = [markup.element("span", f"{step.what}{seconds}")]
    if step.hint:
        told.append(markup.note(f"Hint: {step.hint}"))
    return markup.joined(
        [
            markup.element("span", MARKS[step.state], css=COLOURS[step.state]),
            Html(" "),  # for where the style is not shown
            markup.element("span", step.name, css="sl-step"),
            markup.element("div", *told),
        ]
    )
