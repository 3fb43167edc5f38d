from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.memory import MemorySource
from streamlab.connectors.parquet import ParquetSink
from streamlab.errors import PipelineError
from streamlab.pipelines.file import load, save
from streamlab.pipelines.pipeline import DeadLetters, Pace

Written = Callable[..., Path]


def test_a_file_gives_the_pipeline_it_describes(written: Written) -> None:
    """Every section of a file becomes its part of the value."""
    path = written()

    pipeline = load(path)

    assert pipeline.name == "delayed"
    assert isinstance(pipeline.input.source, MemorySource)
    assert pipeline.input.schema.dtypes.names() == ["carrier", "arr_delay"]
    assert [one.name for one in pipeline.transforms] == ["delayed"]
    assert pipeline.dead_letters == DeadLetters(file=path.parent / "dead.jsonl")


def test_a_folder_stands_for_the_file_in_it(written: Written) -> None:
    """A folder is loaded by its pipeline.toml."""
    assert load(written().parent).name == "delayed"


def test_what_is_written_counts_from_the_working_directory_in_a_package(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written beside installed code."""
    path = written(("[pipeline]", "[pipeline]"))
    (tmp_path / "__init__.py").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path.write_text(path.read_text().replace("flows_", f"{tmp_path.name}.flows_"))

    assert load(path).dead_letters.file == elsewhere / "dead.jsonl"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("[sink]", "[snk]", 10, "did you mean 'sink'"),
        ("transform =", "transfrom =", 3, "did you mean 'transform'"),
        ('type = "console"', 'type = "consle"', 11, "did you mean 'console'"),
        ('type = "memory"', 'type = "memroy"', 6, "did you mean 'memory'"),
        ('format = "json"', 'format = "jsn"', 7, "did you mean 'json'"),
        ('format = "json"', 'format = "json"\nstrt = "x"', 8, "mean 'start'"),
        ('format = "json"', 'format = "json"\nstart = 3', 8, "a text"),
        ('schema = "schema.yaml"', "", 5, "needs the path of a schema"),
        ('schema = "schema.yaml"', 'schema = "no.yaml"', 8, "no schema file no.yaml"),
        ('type = "console"\n', "", 10, "needs 'type'"),
        ('file = "dead.jsonl"', "", 13, "a topic or a file"),
        ('file = "dead.jsonl"', 'file = "d"\n[engine]\nmax_rows = 0', 15, "at least 1"),
        ('file = "dead.jsonl"', 'file = "d"\n[engine]\nmax_rows = true', 16, "number"),
        ('name = "delayed"', 'name = "De layed"', 2, "cannot name a pipeline"),
        ("format =", "fromat =", 5, "is 'fromat' meant to be it"),
        (":delayed", ":delyed", 3, "did you mean 'delayed'"),
        (":delayed", ":plain", 3, "write @sl.transform above def plain"),
        (":delayed", "", 3, "does not name a transform"),
        ("flows_", "nowhere_", 3, "there is no module"),
        ('type = "console"', "type = console", 11, "not valid TOML"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    written: Written, old: str, new: str, line: int, says: str
) -> None:
    """A mistake names file and line, and what was probably meant."""
    path = written((old, new))

    with pytest.raises(PipelineError) as caught:
        load(path)

    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert says in str(caught.value)


def test_a_missing_section_says_what_to_write(written: Written) -> None:
    """Without a place for dead letters a file is refused, with a place to choose."""
    path = written(('[dead_letters]\nfile = "dead.jsonl"\n', ""))

    with pytest.raises(PipelineError, match=r"no section \[dead_letters\]") as caught:
        load(path)

    assert "file =" in caught.value.hint


def test_an_error_of_the_users_module_names_its_line(
    written: Written, tmp_path: Path, module: str
) -> None:
    """A module that fails on import is told with the user's own line."""
    path = written()
    (tmp_path / f"{module}.py").write_text("import polars\n\nlimit = 1 / 0\n")

    with pytest.raises(PipelineError, match=rf"ZeroDivisionError.*\({module}.py:3\)"):
        load(path)


def test_a_syntax_error_of_the_users_module_names_its_line(
    written: Written, tmp_path: Path, module: str
) -> None:
    """A module that does not parse is told with the line of the mistake."""
    path = written()
    (tmp_path / f"{module}.py").write_text("import polars\n\ndef delayed(:\n")

    with pytest.raises(PipelineError, match=rf"\({module}.py:3\)"):
        load(path)


def test_a_module_that_needs_a_missing_package_names_it(
    written: Written, tmp_path: Path, module: str
) -> None:
    """A missing dependency of the user's module is not a missing module."""
    path = written()
    (tmp_path / f"{module}.py").write_text("import no_such_package\n")

    with pytest.raises(PipelineError, match="needs 'no_such_package'"):
        load(path)


def test_dotted_client_options_must_be_quoted(written: Written) -> None:
    """A dotted name without quotes nests; the message says how to write it."""
    path = written(
        ('type = "memory"', 'type = "kafka"\ntopic = "t"'),
        ('schema = "schema.yaml"', 'schema = "schema.yaml"\noptions.fetch.max = 1'),
    )

    with pytest.raises(PipelineError, match=r'"group\.protocol"'):
        load(path)


def test_quoted_client_options_are_kept_as_text(written: Written) -> None:
    """Numbers and booleans of client options become the texts that a driver takes."""
    path = written(
        ('type = "memory"', 'type = "kafka"\ntopic = "t"'),
        (
            "[sink]",
            '[source.options]\n"fetch.max.bytes" = 10\n"check.crcs" = true\n\n[sink]',
        ),
    )

    options = load(path).input.source.options  # type: ignore[attr-defined]

    assert options == {"fetch.max.bytes": "10", "check.crcs": "true"}


def test_a_format_with_one_schema_needs_no_schema_file(written: Written) -> None:
    """Texts have one column, so that a schema file would say nothing."""
    path = written(
        ('format = "json"', 'format = "string"'), ('schema = "schema.yaml"', "")
    )

    assert load(path).input.schema.dtypes.names() == ["value"]


def test_options_of_a_format_are_part_of_the_input(written: Written) -> None:
    """They are kept as texts, and written when the pipeline is saved."""
    options = '[source.format_options]\nseparator = ";"\n\n[sink]'
    path = written(('format = "json"', 'format = "csv"'), ("[sink]", options))
    pipeline = load(path)
    assert pipeline.input.context.options == {"separator": ";"}
    stream = replace(pipeline.input, source=KafkaSource("orders"))
    save(replace(pipeline, inputs=(stream,)), path, transforms=["flows:delayed"])
    assert pipeline.input.format_options == {"separator": ";"}
    assert stream.context.topic == "orders"
    assert '[source.format_options]\n"separator" = ";"' in path.read_text()


def test_an_unknown_option_of_a_format_is_told_with_its_line(written: Written) -> None:
    """A typing mistake is found before anything is started."""
    options = '[source.format_options]\nseperator = ";"\n\n[sink]'
    path = written(('format = "json"', 'format = "csv"'), ("[sink]", options))
    with pytest.raises(PipelineError, match=r"(?s)toml:10: .*mean 'separator'"):
        load(path)


def test_an_unreadable_value_is_not_shown(written: Written) -> None:
    """A value of a wrong type may be a secret; only its type is said."""
    path = written(('type = "console"', 'type = "postgres"\ntable = ["hunter2"]'))

    with pytest.raises(PipelineError) as caught:
        load(path)

    assert "hunter2" not in str(caught.value)
    assert "a list" in str(caught.value)


def test_a_module_of_the_same_name_in_another_folder_is_another_one(
    written: Written, tmp_path: Path, module: str
) -> None:
    """A second pipeline never silently runs the first one's code."""
    first = load(written())
    other = tmp_path / "other"
    other.mkdir()
    for name in ("pipeline.toml", "schema.yaml", f"{module}.py"):
        (other / name).write_text((tmp_path / name).read_text())

    second = load(other)

    places = [
        one.transforms[0].function.__code__.co_filename for one in (first, second)
    ]
    assert places == [str(tmp_path / f"{module}.py"), str(other / f"{module}.py")]


def test_a_changed_module_is_loaded_anew(
    written: Written, tmp_path: Path, module: str
) -> None:
    """A load takes the code as it is now, not as it was first imported."""
    load(written())
    path = tmp_path / f"{module}.py"
    path.write_text(path.read_text().replace("> 15", "> 1500"))

    (changed,) = load(tmp_path).transforms

    assert 1500 in changed.function.__code__.co_consts


def test_a_saved_pipeline_loads_equal(
    written: Written, tmp_path: Path, module: str
) -> None:
    """Settings that differ from their default survive the file."""
    loaded = load(written())
    options = {"fetch.max.bytes": "10"}
    pipeline = replace(
        loaded,
        inputs=(replace(loaded.input, source=KafkaSource("flights", options=options)),),
        sink=ParquetSink(tmp_path / "out"),
        pace=Pace(latency_ms=7),
        dead_letters=DeadLetters(topic='a "quoted" topic', profile="work"),
    )

    save(pipeline, tmp_path / "pipeline.toml", transforms=[f"{module}:delayed"])
    again = load(tmp_path / "pipeline.toml")

    assert replace(again, transforms=()) == replace(pipeline, transforms=())
    assert [one.name for one in again.transforms] == ["delayed"]
    assert str(tmp_path) not in (tmp_path / "pipeline.toml").read_text()
