"""Writing a package: an installable worker made from live transforms."""

from __future__ import annotations

import importlib.metadata
import keyword
import re
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from streamlab import secrets
from streamlab.connectors import BUILT_IN
from streamlab.errors import DISTRIBUTION, ExportRefused, UsageError
from streamlab.export import destination
from streamlab.export.capture import imports
from streamlab.export.capture.capturing import capture
from streamlab.export.capture.pieces import Captured
from streamlab.export.exported import Exported
from streamlab.export.module import text_of
from streamlab.export.proof import prove
from streamlab.export.tables import TableFiles, gathered
from streamlab.export.templates import Words, texts
from streamlab.export.verification import EXPECTED, SAMPLE
from streamlab.formats import OF_REGISTRY
from streamlab.operators.evaluation import evaluate
from streamlab.operators.whole import rows_of
from streamlab.pipelines import DeadLetters, Input, Pipeline, file, sections
from streamlab.pipelines.picture import mermaid
from streamlab.pipelines.plan import plan
from streamlab.registry import EXTRA as REGISTRY_EXTRA
from streamlab.sinks import Sink
from streamlab.sources import Source
from streamlab.taps.sample import Sample
from streamlab.transforms.transform import Transform

MAX_SAMPLE_BYTES = 10 * 2**20
"""The sample is kept in the package, and in version control with it."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_RUNS_AS_IT_IS = (
    "its pipeline.toml is what runs: streamlab run, with functions from a module"
)


def write(
    what: Transform[..., Any] | Pipeline,
    name: str = "",
    *,
    sample: Sample,
    sink: Sink | None = None,
    source: Source | None = None,
    dead_letters: DeadLetters | None = None,
    folder: Path | str = "pipelines",
    overwrite: bool = False,
) -> Exported:
    """Write a transform, or a whole pipeline, as an installable package.

    The package is run once in a fresh process before it is put in place, and must
    give the constants and rows that the live objects give. It is the same bytes each
    time it is written from the same objects. A package that was edited by hand since
    is not replaced.

    Args:
        what: The live object: what it uses now is what the package gets.
        name: Name of the pipeline and of the package's command; the transform's, or
            the pipeline's, if empty.
        sample: Real events; the package's test runs on them.
        sink: Where rows go; needed for a transform.
        source: Where events come from; for a transform the sample's Kafka topic.
        dead_letters: Where events go that cannot be processed; for a transform a
            file ``<name>.dead.jsonl`` in the worker's directory.
        folder: Where the package's own folder is made.
        overwrite: Replace a package although it was edited by hand.

    Returns:
        What was written.

    Raises:
        ExportRefused: It uses something that an export does not carry; the message
            lists all of it. Or the folder holds something else, or was edited.
            Or the package does not do in a fresh process what it does here.
        UsageError: The name cannot be used, or no sink was given.
        TransformError: The transform fails on the sample.
    """
    _require_one_input(what)
    sample = sample.masked()  # all below sees this one only
    pipeline = _pipeline(what, name, sample, source, sink, dead_letters)
    _require_usable(pipeline.name)
    _require_events(pipeline)
    parts = _carried(pipeline, sample)
    in_order = _require_promise(pipeline, sample)
    expected = rows_of(
        pipeline.transforms, sample.frame, pipeline.input.schema, pipeline.folder
    )
    if not in_order:
        expected = _sorted(expected)
    target = Path(folder) / pipeline.name
    with tempfile.TemporaryDirectory(prefix="streamlab-export-") as temporary:
        made = Path(temporary)
        _fill(made, pipeline, parts)
        (made / SAMPLE).parent.mkdir()
        sample.save(made / SAMPLE)
        expected.write_parquet(made / EXPECTED)
        _require_small(made / SAMPLE)
        aggregated = any(one.needs is not None for one in pipeline.transforms)
        values = parts.captured.values
        proof = prove(made, values, expected, aggregated=aggregated)
        files = destination.replaced(made, target, overwrite=overwrite)
    return Exported(
        name=pipeline.name,
        folder=target,
        files=files,
        size_bytes=sum((target / name).stat().st_size for name in files),
        topic=sample.topic,
        rows_in=sample.frame.height,
        rows_out=expected.height,
        proof=proof,
        taken=parts.captured.taken,
    )


@dataclass(frozen=True)
class _Parts:
    """What a package is made of besides its templates."""

    captured: Captured
    tables: TableFiles
    sample: str


def _pipeline(
    what: Transform[..., Any] | Pipeline,
    name: str,
    sample: Sample,
    source: Source | None,
    sink: Sink | None,
    dead_letters: DeadLetters | None,
) -> Pipeline:
    """Return the pipeline that is exported."""
    if isinstance(what, Pipeline):
        return replace(
            what,
            name=name or what.name,
            inputs=(replace(what.input, source=source or what.input.source),),
            sink=sink or what.sink,
            dead_letters=dead_letters or what.dead_letters,
        )
    if sink is None:
        message = f"{what.name} has nowhere to write to"
        raise UsageError(message, hint='give a sink, such as sink=PostgresSink("…")')
    name = name or what.name
    if source is None:
        from streamlab.connectors.kafka.source import KafkaSource

        source = KafkaSource(sample.topic)
    return Pipeline(
        name=name,
        inputs=(
            Input(
                source,
                sample.format,
                sample.schema,
                format_options=sample.format_options,
            ),
        ),
        transforms=(what,),
        sink=sink,
        dead_letters=dead_letters or DeadLetters(file=Path(f"{name}.dead.jsonl")),
    )


def _require_usable(name: str) -> None:
    """Refuse a name that no command and no module can have.

    Raises:
        UsageError: It is malformed, or belongs to something that is installed.
    """
    module = _module_name(name)
    if not _NAME.fullmatch(name) or keyword.iskeyword(module):
        message = f"{name!r} cannot name a package"
        hint = "begin with a letter; use lower-case letters, digits, '-' and '_'"
        raise UsageError(message, hint=hint)
    owner = imports.distribution_of(module)
    if module in sys.stdlib_module_names or (owner and not _is_export(owner, module)):
        message = f"the name {name!r} belongs to the module of {owner or 'Python'}"
        raise UsageError(message, hint="give another name: name=…")


def _is_export(distribution: str, module: str) -> bool:
    """Return whether an installed distribution is an earlier export of a module."""
    scripts = importlib.metadata.distribution(distribution).entry_points
    return any(script.value == f"{module}.worker:main" for script in scripts)


def _carried(pipeline: Pipeline, sample: Sample) -> _Parts:
    """Return what the package carries of the live objects.

    Raises:
        ExportRefused: Listing everything that cannot be carried.
    """
    captured = capture(pipeline.transforms)
    files = gathered(pipeline.transforms, pipeline.folder)
    problems = [*captured.problems, *files.problems, *_secrets(pipeline)]
    if sample.frame.is_empty():
        problems.append("the sample: it has no events; tap some first")
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ExportRefused(
            f"the export of {pipeline.name} does not carry:\n{listed}",
            hint="it carries functions, classes, their imports, constants that can be "
            "written down, frames and local files; docs/export.md lists the cases",
        )
    words = f"{sample.frame.height:,} of topic {sample.topic}"
    return _Parts(captured, files, words)


def _require_promise(pipeline: Pipeline, sample: Sample) -> bool:
    """Refuse transforms whose output depends on how a stream is cut into epochs.

    Returns:
        Whether its rows come in the same order each time.

    Raises:
        ExportRefused: With the verdict.
    """
    if not pipeline.transforms:
        return True
    evaluation = evaluate(pipeline.transforms, sample, base=pipeline.folder)
    rows = evaluation.rows
    if rows.kind == "failed":
        names = ", ".join(f"{one.name}()" for one in pipeline.transforms)
        message = f"{names} is not ready for a stream: {rows.message}"
        raise ExportRefused(message, hint="see sl.evaluate and docs/transforms.md")
    return evaluation.order.holds


def _require_one_input(what: Transform[..., Any] | Pipeline) -> None:
    """Refuse several inputs.

    Raises:
        ExportRefused: A sample is of one topic.
    """
    streams = tuple(what.inputs) if isinstance(what, Pipeline) else what.streams
    if len(streams) > 1:
        message = (
            f"{what.name} reads {', '.join(streams)}: its package could not be "
            "tested, as a sample is of one topic"
        )
        raise ExportRefused(message, hint=f"{_RUNS_AS_IT_IS} beside it")


def _require_events(pipeline: Pipeline) -> None:
    """Refuse a source that no sample can stand for.

    Raises:
        ExportRefused: It gives rows, while a sample has the bytes of a topic's events.
    """
    source = pipeline.input.source
    if source.format:
        message = (
            f"{pipeline.name} reads {source.describe()}: its package could not be "
            "tested, as a sample is of a topic"
        )
        raise ExportRefused(
            message,
            hint=f"{_RUNS_AS_IT_IS} beside it; or let that fill a topic, and export "
            "what reads the topic",
        )


def _sorted(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows in an order of their own, so that exports agree; of any dtype."""
    texts_of_rows = list(map(repr, rows.iter_rows()))
    return rows[sorted(range(rows.height), key=texts_of_rows.__getitem__)]


def _secrets(pipeline: Pipeline) -> list[str]:
    """Return the settings of connectors that must not be written, without values."""
    found: list[str] = []
    ends = {
        "source": pipeline.input.source,
        "sink": pipeline.sink,
        "dead_letters": pipeline.dead_letters,
    }
    for section, connector in ends.items():
        settings = sections.settings_of(connector, pipeline.folder)
        for name, value in _flattened(settings):
            why = secrets.objection(name, value)
            if why:
                found.append(
                    f"[{section}] {name}: {why}; put it into streamlab.toml or write "
                    "${env:NAME}"
                )
    return found


def _flattened(settings: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from value.items()
        else:
            yield name, value.as_posix() if isinstance(value, Path) else value


def _fill(made: Path, pipeline: Pipeline, parts: _Parts) -> None:
    """Write everything but the sample into an empty folder."""
    module = _module_name(pipeline.name)
    here = f"{pipeline.folder.resolve().as_posix()}/"  # no path of this machine
    words = Words(
        name=pipeline.name,
        project=_project_name(pipeline.name),
        module=module,
        functions=[one.name for one in pipeline.transforms],
        requirements=_requirements(pipeline, parts.captured),
        test_requirement=_own_requirement({"verify"}),
        plan=str(plan(pipeline)).replace(here, ""),
        picture=f"```mermaid\n{mermaid(pipeline).replace(here, '')}```",
        sample=parts.sample,
    )
    docstring = f"Transforms of the pipeline {pipeline.name}."
    code = text_of(parts.captured, parts.tables.stems, docstring=docstring)
    contents = {path: text.encode() for path, text in texts(words).items()}
    contents[f"{module}/transform.py"] = code.encode()
    for path, text in parts.captured.modules.items():
        contents[f"{module}/{path}"] = text.encode()
    for stem, table in parts.tables.files.items():
        contents[f"{module}/tables/{stem}.parquet"] = table
    for frame in parts.captured.frames:
        contents[f"{module}/tables/{frame.file}"] = frame.content
    for path, content in contents.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_bytes(content)
    functions = [f"{module}.transform:{one.name}" for one in pipeline.transforms]
    file.save(pipeline, made / file.FILE_NAME, transforms=functions)


def _requirements(pipeline: Pipeline, captured: Captured) -> list[str]:
    """Return what the package needs: this streamlab, and what its code imports."""
    kinds = {
        sections.kind("source", pipeline.input.source),
        sections.kind("sink", pipeline.sink),
    }
    if pipeline.dead_letters.topic is not None:
        kinds.add("kafka")
    extras = {BUILT_IN[kind].extra for kind in kinds}
    if "pandas" in captured.packages or any(one.pandas for one in pipeline.transforms):
        extras.add("pandas")
    source, sink = pipeline.input.source, pipeline.sink
    formats = (pipeline.input.format, getattr(sink, "format", ""))
    if {*formats, getattr(source, "shape", "")} & OF_REGISTRY:
        extras.add(REGISTRY_EXTRA)
    others = {
        imports.distribution_of(one)
        for one in captured.packages - sys.stdlib_module_names
    }
    return [
        _own_requirement({extra for extra in extras if extra}),
        *(imports.requirement(name) for name in sorted(others - {DISTRIBUTION})),
    ]


def _own_requirement(extras: Collection[str]) -> str:
    version = importlib.metadata.version(DISTRIBUTION)
    chosen = f"[{','.join(sorted(extras))}]" if extras else ""
    return f"{DISTRIBUTION}{chosen}=={version}"


def _require_small(sample: Path) -> None:
    size = sample.stat().st_size
    if size > MAX_SAMPLE_BYTES:
        message = (
            f"the sample is {size / 2**20:.0f} MB as Parquet, more than "
            f"{MAX_SAMPLE_BYTES // 2**20} MB"
        )
        raise ExportRefused(message, hint="tap fewer events, such as last=1000")


def _module_name(name: str) -> str:
    return name.replace("-", "_")


def _project_name(name: str) -> str:
    return name.replace("_", "-")
