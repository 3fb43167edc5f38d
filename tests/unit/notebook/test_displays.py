"""Displays: our values as HTML, with everything hostile in them inert."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from streamlab.connectors.diagnosis import Diagnosis, Step
from streamlab.contracts import Field, Schema
from streamlab.export import Exported, Proof
from streamlab.export.capture.pieces import Taken
from streamlab.formats import Rejection
from streamlab.notebook import displays, pictures
from streamlab.observe.lag import LAG_SCHEMA, LagReading
from streamlab.observe.status import WorkerStatus
from streamlab.operators.evaluation import StreamEvaluation
from streamlab.positions import Span, TopicPartition
from streamlab.taps.sample import Sample
from streamlab.transforms.verdicts import Verdict
from tests.unit.notebook.corpus import HOSTILE
from tests.unit.notebook.test_markup import tags


def sample(text):
    frame = pl.DataFrame(
        {"_topic": [text], "_key": [text.encode()], text: [text], "o": [{"a": text}]}
    )
    schema = Schema.of({text: pl.String(), "o": pl.Struct({"a": pl.String})})
    return Sample(
        name=text,
        topic=text,
        frame=frame,
        spans=(Span(TopicPartition(text, 0), 0, 1),),
        schema=schema,
        format="json",
        cut={"where": text},
        values=pl.Series([b"{}"]),
        rejected=(Rejection(0, "not-json", text),),
    )


def lag(text):
    frame = pl.DataFrame([(text, 0, 1, 2, 1, None)], schema=LAG_SCHEMA, orient="row")
    return LagReading(text, 0, frame)


def worker(text):
    return WorkerStatus(text, text, 1, "failed", 0, reason=text, counts={text: 1})


def exported(text):
    files = ("README.md", f"{text}/transform.py")
    proof = Proof(constants=1, rows=2, seconds=0.3)
    taken = (Taken(text, text),)
    return Exported(text, Path(text), files, 115_943, text, 3, 2, proof, taken)


def diagnosis(text, state="failed"):
    step = Step(text, state, text, text, 1.0)
    return Diagnosis("kafka", text, (step,), {text: text})


def evaluation(text):
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    times = pl.Series([begin, begin + timedelta(hours=1)]).dt.cast_time_unit("us")
    rows = pl.DataFrame({text: [text, text], "window_start": times})
    course = {"order": [0, 1], "time": times, "watermark": times, "late": [False, True]}
    unknown = Verdict("unknown", text)
    return StreamEvaluation(
        name=text,
        sample=text,
        output=rows,
        rows_in=2,
        head=None,
        rows=Verdict("tested", text),
        order=unknown,
        at_most_one=False,
        metadata=(text,),
        seconds_per_million=1.0,
        conversion_seconds_per_million=None,
        incomplete=rows,
        late=1,
        held=2,
        state_bytes=3_000,
        state_bytes_per_million=1.5e9,
        course=pl.DataFrame({"stream": [text, text], **course}),
    )


MAKERS = {
    "evaluation": evaluation,
    "diagnosis": diagnosis,
    "export": exported,
    "sample": sample,
    "lag": lag,
    "status": worker,
    "schema": lambda text: Schema((Field(text, pl.String()),), text),
}


def html(session, value):
    return displays.table(session)[type(value)][0](value)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", MAKERS)
def test_hostile_text_makes_no_element(session, kind, text):
    """As topic, key, value, column, error or group, a text adds no tag."""
    make = MAKERS[kind]
    assert tags(html(session, make(text))) == tags(html(session, make("harmless")))


@pytest.mark.parametrize("kind", MAKERS)
def test_plain_text_holds_no_escape_sequence(session, kind):
    """A value cannot repaint the terminal."""
    value = MAKERS[kind]("a\x1b[31mb")
    assert "\x1b" not in displays.table(session)[type(value)][1](value)


def test_a_sample_counts_what_did_not_decode(session):
    """Rejected values are shown by code, with a reason."""
    shown = html(session, sample("x"))
    assert "did not decode" in shown
    assert "not-json" in shown


def test_an_export_shows_its_proof_its_files_and_what_comes_next(session):
    """The card says what was written and proved, and has the next commands."""
    shown = html(session, exported("late"))
    assert "exported late to late" in shown
    assert "1 constant and 2 rows equal the live ones" in shown
    assert "the transforms and what they need" in shown
    assert "<b>116</b> kB" in shown
    assert "streamlab verify late" in shown


def test_the_shell_uses_them(shell):
    """The formatters of the shell know our types."""
    formatted, _ = shell.display_formatter.format(lag("group"))
    assert "lag of group" in formatted["text/html"]
    assert formatted["text/plain"].startswith("lag of group: 1 events behind")


def test_a_diagnosis_shows_the_seconds_of_a_slow_step(session):
    """What took long says how long."""
    assert "(1 s)" in html(session, diagnosis("x"))


def test_a_diagnosis_says_whether_there_is_a_connection(session):
    """A right that is missing is not a connection that failed."""
    right = Step("READ topic t", "failed", "missing", vital=False)
    shown = html(session, Diagnosis("kafka", "work", (right,)))
    assert "connected to work, but 1 of 1 tests failed" in shown
    assert "not connected to x" in html(session, diagnosis("x"))


def test_no_display_is_set_as_a_formula(session):
    """Every card is closed to MathJax, so that a price stays a price."""
    assert "mathjax_ignore" in html(session, sample("$5 and $6"))


def test_a_windowed_evaluation_has_its_facts_open_rows_and_picture(session):
    """What is no result yet stands apart, in HTML and in plain text."""
    shown = html(session, evaluation("hourly"))
    assert "<b>1</b> late" in shown
    assert "<b>2</b> rows incomplete" in shown
    assert "<b>1,500.0 MB</b> of state per million events" in shown
    assert "incomplete when the sample ends" in shown
    assert 'src="data:image/svg+xml;base64,' in shown
    plain = displays.evaluation_plain(evaluation("hourly"))
    assert "late   1 events" in plain
    assert plain.count("window_start") == 3  # schema, rows, incomplete rows


@pytest.mark.parametrize("text", HOSTILE)
def test_the_picture_of_a_hostile_stream_is_an_image(text):
    """It can be read, and nothing in it is a script."""
    drawn = ET.fromstring(pictures.svg(pictures.course(evaluation(text))))
    names = {one.tag.rpartition("}")[2] for one in drawn.iter()}
    assert names <= {"svg", "g", "path", "rect", "text", "line", "defs", "clipPath"}
