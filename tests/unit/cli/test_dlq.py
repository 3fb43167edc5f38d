"""``streamlab dlq``: what is shown of dead letters, and how they become test cases."""

from __future__ import annotations

from pathlib import Path

import pytest

import streamlab as sl
from streamlab.cli import main
from streamlab.contracts import odcs
from streamlab.engines.local.dead_letters import DeadLetterFile
from streamlab.engines.local.replaying import Kept
from streamlab.errors import UsageError
from streamlab.pipelines.file import load
from streamlab.sinks import DeadLetter
from tests.unit.taps.made import PEOPLE

PIPELINE = """\
[pipeline]
name = "people"
transforms = []

[source]
type = "kafka"
topic = "people"
format = "json"
schema = "schema.yaml"

[sink]
type = "console"

[dead_letters]
file = "dead.jsonl"
"""
CANARY = "PII-canary"


def letter(position: int, value: bytes, code: str, stage: str = "decode") -> DeadLetter:
    return DeadLetter(
        topic="people",
        partition=0,
        position=position,
        timestamp_ms=5,
        key=CANARY.encode(),
        value=value,
        headers=(("trace", b"1"),),
        stage=stage,
        code=code,
        reason="why",
    )


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a pipeline with three dead letters: two broken, one that a transform hit."""
    monkeypatch.chdir(tmp_path)
    Path("pipeline.toml").write_text(PIPELINE, encoding="utf-8")
    odcs.save(sl.Schema.of(PEOPLE.dtypes, "people"), "schema.yaml")
    DeadLetterFile(tmp_path / "dead.jsonl").write(
        [
            letter(1, b'{"id": "1"}', "type"),
            letter(
                2, b'{"id": 2, "email": "PII-canary"}', "transform-error", "transform"
            ),
            letter(3, b"PII-canary", "not-json"),
        ]
    )
    return tmp_path


def personal() -> None:
    """Mark personal fields in the schema."""
    odcs.save(PEOPLE, "schema.yaml")


def keep(*words: str) -> int:
    return main(["dlq", "keep", "pipeline.toml", "--into", "cases.parquet", *words])


def test_kept_letters_are_events_or_rejected_values(capsys):
    """What decodes is an event with its origin; what does not keeps its code."""
    assert keep() == 0
    shown = capsys.readouterr().out
    assert "3 dead letter(s): 1 decode now, 2 still do not" in shown
    cases = sl.Sample.load("cases.parquet")
    assert cases.topic == "people"
    assert cases.frame.select("_offset", "_key").rows() == [(2, CANARY.encode())]
    assert cases.rejected_places["_offset"].to_list() == [1, 3]
    assert keep() == 0
    assert sl.Sample.load("cases.parquet") == cases


def test_a_replay_dead_letters_what_still_does_not_decode():
    """It has the code that it had in the pipeline, and its bytes and headers."""
    keep("--code", "not-json")
    [dead] = sl.replay([], sl.Sample.load("cases.parquet")).dead_letters
    assert (dead.code, dead.position, dead.value) == ("not-json", 3, CANARY.encode())
    assert list(dead.headers) == [("trace", b"1")]


def test_a_mended_schema_makes_events_of_letters(capsys):
    """The sample is read anew with the schema that the pipeline has now."""
    keep()
    dtypes = {"id": "string", "email": "string"}
    fields = "".join(
        f"      - {{name: {name}, logicalType: {kind}}}\n"
        for name, kind in dtypes.items()
    )
    Path("schema.yaml").write_text(
        f"apiVersion: v3.1.0\nschema:\n  - name: people\n    properties:\n{fields}"
    )
    keep("--code", "type")
    cases = sl.Sample.load("cases.parquet")
    assert cases.frame["_offset"].to_list() == [1]
    assert cases.events["id"].to_list() == ["1"]
    assert len(cases.rejected) == 2
    assert "read anew" in capsys.readouterr().out


def test_a_corrected_value_is_given_for_one_letter(capsys):
    """Its bytes take the place of the broken ones."""
    Path("value.json").write_bytes(b'{"id": 3}')
    assert keep("--value", "value.json") == 1
    assert "--at topic/partition@offset" in capsys.readouterr().err
    assert keep("--at", "people/0@3", "--value", "none.json") == 1
    assert keep("--at", "people/0@3", "--value", "value.json") == 0
    cases = sl.Sample.load("cases.parquet")
    assert cases.events["id"].to_list() == [3]
    assert cases.rejected == ()


def test_personal_letters_are_masked_or_withheld(capsys):
    """Nothing personal gets into the file; what cannot be masked is counted."""
    personal()
    assert keep() == 0
    assert "2 withheld" in capsys.readouterr().out
    written = Path("cases.parquet").read_bytes()
    cases = sl.Sample.load("cases.parquet")
    assert cases.frame["_offset"].to_list() == [2]
    assert CANARY not in str(cases.frame.rows()) + str(cases.values.to_list())
    assert CANARY.encode() not in written


def test_values_are_shown_only_where_none_is_personal(capsys):
    """A preview of a value is withheld where the schema has personal fields."""
    words = ["dlq", "show", "pipeline.toml", "--values"]
    assert main(words) == 0
    assert CANARY in capsys.readouterr().out
    personal()
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert CANARY not in shown
    assert "(withheld)" in shown


def test_what_is_missing_is_said(capsys):
    """No file to write to, no letter to keep."""
    assert main(["dlq", "keep", "pipeline.toml"]) == 1
    assert "--into FILE" in capsys.readouterr().err
    assert keep("--code", "other") == 1
    assert "no such dead letters" in capsys.readouterr().err
    assert not Path("cases.parquet").exists()


def test_python_does_the_same():
    """Letters become a sample, or join one, without a file."""
    kept = Kept.of(load(Path("pipeline.toml")))
    mended = {"people/0@3": b'{"id": 3}'}
    sample = kept.sample(kept.chosen(code="not-json"), values=mended)
    assert (
        kept.sample(kept.chosen(code="transform-error"), into=sample).frame.height == 2
    )
    with pytest.raises(UsageError, match="no such"):
        kept.sample([])


def test_letters_in_the_working_directory_are_found(home, capsys, monkeypatch):
    """An installed worker writes them there, not beside the package's pipeline file."""
    package = home / "pipelines" / "people"
    package.mkdir(parents=True)
    for name in ("pipeline.toml", "schema.yaml"):
        (home / name).rename(package / name)

    assert main(["dlq", "show", "pipelines/people"]) == 0
    assert "3 dead letter(s)" in capsys.readouterr().out

    empty = home / "elsewhere"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert main(["dlq", "show", str(package)]) == 0
    assert "run this command there" in capsys.readouterr().out


def test_a_kind_that_no_letter_has_keeps_nothing(capsys):
    """A mistyped kind is told, and no empty sample is written."""
    assert keep("--code", "not-jsn") == 1
    assert "there are not-json, transform-error, type" in capsys.readouterr().err
    assert not Path("cases.parquet").exists()


def test_a_pipeline_that_is_not_there_is_one_message(home, capsys):
    """The name of an exported package leads to its folder."""
    (home / "pipelines" / "people").mkdir(parents=True)
    assert main(["dlq", "show", "people"]) == 1
    assert "did you mean pipelines/people?" in capsys.readouterr().err
