"""How our values look in a notebook: a table from type to HTML and plain text.

The types themselves know nothing of it; the shell's formatters are told when the
extension is loaded. Types are named by module, so that none is imported for this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import polars as pl

from streamlab.connectors.diagnosis import Diagnosis
from streamlab.connectors.kafka.connection import Cluster
from streamlab.contracts import Schema
from streamlab.errors import StreamlabError
from streamlab.export import Exported, Verification
from streamlab.notebook import diagnoses, markup, panel, panels, pictures
from streamlab.notebook.markup import Html
from streamlab.notebook.panel import Panel
from streamlab.notebook.session import Session
from streamlab.observe.event_time import of as of_event_time
from streamlab.observe.lag import LagReading
from streamlab.observe.status import WorkerStatus
from streamlab.operators.evaluation import StreamEvaluation
from streamlab.pipelines.picture import svg
from streamlab.pipelines.pipeline import Pipeline
from streamlab.pipelines.plan import plan
from streamlab.taps.sample import Sample
from streamlab.transforms.evaluation import Evaluation
from streamlab.transforms.transform import Transform
from streamlab.transforms.verdicts import Kind, Verdict

Shows: TypeAlias = tuple[Callable[[Any], Html], Callable[[Any], str]]

OPEN_ROWS = 3  # of what is incomplete
PICTURE = "points: events, late ones red; line: watermark; dashed: windows"
INCOMPLETE = "incomplete when the sample ends, so no result yet:"
VERDICT_MARKS: dict[Kind, str] = {
    "shown": "sl-good",
    "tested": "sl-soft",
    "failed": "sl-ill",
    "unknown": "sl-soft",
}
"""Kind of a verdict → its colour."""


def table(session: Session) -> dict[type, Shows]:
    """Return for each type how it is shown as HTML and as plain text."""
    return {
        Panel: (panel.static, panel.plain),
        Sample: (sample_html, sample_plain),
        Evaluation: (evaluation_html, evaluation_plain),
        StreamEvaluation: (evaluation_html, evaluation_plain),
        Transform: (
            lambda shown: transform_html(shown, session),
            lambda shown: transform_plain(shown, session),
        ),
        Schema: _by_panel(schema_panel),
        Pipeline: (pipeline_html, lambda shown: panel.plain(pipeline_panel(shown))),
        Exported: (exported_html, told_plain),
        Verification: (told_html, told_plain),
        LagReading: _by_panel(lag_panel),
        WorkerStatus: _by_panel(status_panel),
        Cluster: _by_panel(cluster_panel),
        Diagnosis: (diagnoses.html, diagnoses.plain),
    }


def register(shell: Any, session: Session) -> None:
    """Teach the shell's formatters."""
    for kind, (as_html, as_text) in table(session).items():
        formatters = shell.display_formatter.formatters
        formatters["text/html"].for_type(kind, as_html)
        formatters["text/plain"].for_type(kind, _printed(as_text))


def unregister(shell: Any, session: Session) -> None:
    """Make the shell's formatters forget."""
    for kind in table(session):
        for mime in ("text/html", "text/plain"):
            shell.display_formatter.formatters[mime].pop(kind, None)


def _by_panel(make: Callable[[Any], Panel]) -> Shows:
    return (lambda shown: panel.static(make(shown))), (
        lambda shown: panel.plain(make(shown))
    )


def _printed(as_text: Callable[[Any], str]) -> Callable[[Any, Any, bool], None]:
    def pretty(shown: Any, printer: Any, cycle: bool) -> None:
        printer.text("…" if cycle else as_text(shown))

    return pretty


def sample_html(sample: Sample) -> Html:
    """Return a sample: what was read, its first events, what did not decode."""
    return markup.card(
        _sample_title(sample),
        markup.facts(_sample_facts(sample)),
        markup.frame(sample.frame),
        markup.note(_spans(sample)),
        *_rejected(sample),
    )


def sample_plain(sample: Sample) -> str:
    """Return a sample for a terminal."""
    figures = ", ".join(f"{value} {label}" for label, value in _sample_facts(sample))
    title = f"{_sample_title(sample)}: {figures}"
    return markup.visible(f"{title}\n{sample.frame}\n{_spans(sample)}")


def _sample_title(sample: Sample) -> str:
    return f"sample {sample.name!r} of topic {sample.topic}"


def _sample_facts(sample: Sample) -> list[tuple[str, str]]:
    facts = [
        ("events", markup.count(sample.frame.height)),
        ("columns", markup.count(len(sample.schema.fields))),
    ]
    if sample.rejected:
        facts.append(("did not decode", markup.count(len(sample.rejected))))
    if sample.withheld:
        facts.append(("withheld: they do not decode", markup.count(sample.withheld)))
    if sample.masks:
        facts.append(("masked fields", markup.count(len(sample.masks))))
    return facts


def _spans(sample: Sample) -> str:
    spans = ", ".join(map(str, sample.spans)) or "nothing"
    cut = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in sample.cut.items()
    )
    return f"read {spans}{f' ({cut})' if cut else ''}"


def _rejected(sample: Sample) -> list[Html]:
    if not sample.rejected:
        return []
    codes = pl.Series([each.code for each in sample.rejected]).value_counts(sort=True)
    first = {each.code: each.reason for each in reversed(sample.rejected)}
    rows = [(code, markup.count(n), first[code]) for code, n in codes.rows()]
    return [markup.table(("did not decode", "events", "such as"), rows, right=(1,))]


def evaluation_html(evaluation: Evaluation) -> Html:
    """Return an evaluation: output, figures, schema, verdicts, cost."""
    head = evaluation.head
    on_head = "" if head is None else f", its first {markup.count(head)} events"
    return markup.card(
        f"{evaluation.name} on {evaluation.sample}{on_head}",
        markup.facts(_evaluation_facts(evaluation)),
        markup.frame(evaluation.output),
        *_stream_parts(evaluation),
        _verdict("rows", evaluation.rows),
        _verdict("order", evaluation.order),
        _schema_line(evaluation),
    )


def _stream_parts(evaluation: Evaluation) -> list[Html]:
    """Return what is incomplete, and the picture of the event time."""
    if not isinstance(evaluation, StreamEvaluation):
        return []
    parts = []
    if not evaluation.incomplete.is_empty():
        parts += [
            markup.note(INCOMPLETE),
            markup.frame(evaluation.incomplete, rows=OPEN_ROWS),
        ]
    if evaluation.course.height > 1:
        title = f"event time of {evaluation.sample}, as it was read"
        parts.append(pictures.picture(pictures.course(evaluation), title))
        parts.append(markup.note(PICTURE))
    return parts


def _evaluation_facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    facts = [
        ("events in", markup.count(evaluation.rows_in)),
        ("rows out", markup.count(evaluation.rows_out)),
    ]
    if evaluation.filtered is not None:
        facts.append(("filtered", markup.count(evaluation.filtered)))
    if isinstance(evaluation, StreamEvaluation):
        facts.append(("late", markup.count(evaluation.late)))
        facts.append(("rows incomplete", markup.count(evaluation.incomplete.height)))
        facts.append(("of state per million events", evaluation.weight))
    cost = markup.duration(evaluation.seconds_per_million)
    facts.append(("per million events", cost))
    if evaluation.conversion_seconds_per_million is not None:
        pandas = markup.duration(evaluation.conversion_seconds_per_million)
        facts.append(("of it for pandas", pandas))
    return facts


def _schema_line(evaluation: Evaluation) -> Html:
    columns = [f"{name} {dtype}" for name, dtype in evaluation.schema.items()]
    used = f"; uses {', '.join(evaluation.metadata)}" if evaluation.metadata else ""
    return markup.note(f"schema: {', '.join(columns) or 'no columns'}{used}")


def evaluation_plain(evaluation: Evaluation) -> str:
    """Return an evaluation for a terminal."""
    text = f"{evaluation}\n{evaluation.output}"
    if isinstance(evaluation, StreamEvaluation) and evaluation.incomplete.height:
        text += f"\n{INCOMPLETE}\n{evaluation.incomplete.head(OPEN_ROWS)}"
    return markup.visible(text)


def _verdict(subject: str, verdict: Verdict) -> Html:
    return _marked(subject, verdict.kind, VERDICT_MARKS[verdict.kind], verdict.message)


def _marked(subject: str, mark: str, css: str, message: str) -> Html:
    return markup.element(
        "div",
        markup.element("span", subject, css="sl-mark"),
        " ",  # for where the style is not shown
        markup.element("span", mark, css=f"sl-mark {css}"),
        " ",
        markup.element("span", message),
        css="sl-verdict",
    )


def transform_html(transform: Transform[Any, Any], session: Session) -> Html:
    """Return what the last evaluation showed; nothing is computed again."""
    evaluation = session.evaluations.get(transform)
    if evaluation is not None:
        return evaluation_html(evaluation)
    return markup.card(f"{transform.name}()", markup.note(_not_yet(transform)))


def transform_plain(transform: Transform[Any, Any], session: Session) -> str:
    """Return the same for a terminal."""
    evaluation = session.evaluations.get(transform)
    if evaluation is not None:
        return evaluation_plain(evaluation)
    return f"transform {transform.name}(): {_not_yet(transform)}"


def _not_yet(transform: Transform[Any, Any]) -> str:
    return f"not evaluated yet; it takes {', '.join(transform.streams)}"


def schema_panel(schema: Schema) -> Panel:
    """Return a schema as a table of its fields."""
    return Panel(
        title=f"schema {schema.name}",
        facts={"fields": str(len(schema.fields))},
        columns=("field", "type", "marks"),
        rows=[
            (field.name, str(field.dtype), ", ".join(field.marks))
            for field in schema.fields
        ],
    )


def pipeline_html(pipeline: Pipeline) -> Html:
    """Return a pipeline as a picture and its plan."""
    picture = Html(markup.visible(svg(pipeline)))
    return markup.joined([picture, panel.static(pipeline_panel(pipeline))])


def pipeline_panel(pipeline: Pipeline) -> Panel:
    """Return a pipeline's plan, or why it cannot run."""
    title = f"pipeline {pipeline.name}"
    try:
        return panels.of_plan(plan(pipeline), title=title)
    except StreamlabError as error:
        return Panel(title=f"{title} cannot run", facts={}, note=str(error))


def exported_html(exported: Exported) -> Html:
    """Return what was written, its proof, and what to do with it."""
    facts = [
        (f"events of {exported.topic} in", markup.count(exported.rows_in)),
        ("rows out", markup.count(exported.rows_out)),
        ("files", markup.count(len(exported.files))),
        ("kB", markup.count(exported.size_bytes / 1000)),
    ]
    width = max(len(line) for _, line in exported.next_commands)
    commands = (f"{line:<{width}}  # {what}" for what, line in exported.next_commands)
    return markup.card(
        f"exported {exported.name} to {exported.folder}",
        markup.facts(facts),
        _marked("proof", "passed", "sl-good", str(exported.proof)),
        *([markup.note(exported.told_origin)] if exported.taken else []),
        markup.table(("file", "is"), exported.purposes()),
        markup.element("pre", "\n".join(commands)),
    )


def told_html(told: object) -> Html:
    """Return what a value says of itself."""
    title, _, rest = str(told).partition("\n")
    return (
        markup.card(title, markup.element("pre", rest)) if rest else markup.card(title)
    )


def told_plain(told: object) -> str:
    """Return the same for a terminal."""
    return markup.visible(str(told))


def lag_panel(reading: LagReading) -> Panel:
    """Return one reading of the lag."""
    return Panel(
        title=f"lag of {reading.group}",
        facts=panels.lag_facts(reading),
        columns=panels.LAG_COLUMNS,
        rows=panels.lag_rows(reading),
        right=panels.LAG_FIGURES,
    )


def status_panel(status: WorkerStatus) -> Panel:
    """Return what a worker says about itself."""
    figures = {
        **{
            name.replace("_", " "): markup.count(n) for name, n in status.counts.items()
        },
        "events behind": markup.count(sum(status.lag.values())),
    }
    if (times := of_event_time([status])) is not None:
        figures |= times.facts()
    timings = {**status.stage_ms, **status.latency_ms}
    return Panel(
        title=f"worker {status.worker} is {status.state}",
        facts=figures,
        columns=("stage", "ms") if timings else (),
        rows=[(name.replace("_", " "), f"{ms:.1f}") for name, ms in timings.items()],
        right=(1,) if timings else (),
        note=status.reason,
    )


def cluster_panel(cluster: Cluster) -> Panel:
    """Return the broker that a connection reached."""
    return Panel(
        title=f"connected to {cluster.profile}",
        facts={"topics": markup.count(cluster.topics)},
        columns=("what", "value"),
        rows=[("brokers", ", ".join(cluster.brokers)), ("cluster", cluster.cluster_id)],
    )
