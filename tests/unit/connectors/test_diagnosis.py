"""Steps of a connection: what is skipped, what is shown, what is raised."""

from __future__ import annotations

import pytest

from streamlab.connectors.diagnosis import Diagnosis, Examination, Finding
from streamlab.errors import ConnectorError, Unavailable


def fails() -> Finding:
    message = "nothing listens"
    raise Unavailable(message, hint="start it")


def examined(*, vital: bool) -> Diagnosis:
    exam = Examination()
    exam.take("reach", fails, vital=vital)
    exam.take("login", lambda: Finding("by PLAIN"))
    return Diagnosis("kafka", "work", tuple(exam.steps))


def test_what_needs_a_failed_step_is_skipped():
    """It says because of which."""
    steps = examined(vital=True).steps
    assert [step.state for step in steps] == ["failed", "skipped"]
    assert steps[1].what == "not tested, because reach failed"


def test_a_step_that_is_not_vital_hides_nothing():
    """Rights are told one by one."""
    assert [step.state for step in examined(vital=False).steps] == ["failed", "ok"]


def test_the_first_failure_is_raised():
    """Its step, what is wrong and what to do."""
    with pytest.raises(ConnectorError, match="kafka: reach: nothing listens") as caught:
        examined(vital=True).raise_failed()
    assert caught.value.hint == "start it"


def test_the_text_has_a_mark_for_each_step():
    """What a terminal shows: mark, step, what, and the hint below."""
    assert str(examined(vital=False)) == (
        "kafka of profile 'work'\n"
        "✗ reach  nothing listens\n"
        "         Hint: start it\n"
        "✓ login  by PLAIN"
    )
