"""What a transform declares is in its package, as a person would write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab import export
from streamlab.connectors.console import ConsoleSink
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.errors import ExportRefused
from streamlab.export.capture.capturing import capture
from streamlab.export.capture.declared import arguments
from streamlab.export.capture.values import Writer
from streamlab.export.module import text_of
from streamlab.pipelines import DeadLetters, Input, Pipeline
from streamlab.pipelines.file import load
from streamlab.taps.sample import Sample

Cells = Callable[..., dict[str, Any]]

ON = 'sl.event_time("t", bound="90s", idle_after="5m", unit="us")'
DECLARED = [
    'keys=["k"], state={"n": pl.Int64}',
    (
        'keys=["k", "j"], state={"at": pl.Datetime("us", "UTC"), "rows": '
        'pl.List(pl.Struct({"v": pl.Decimal(10, 2)}))}, '
        f'on={ON}, lateness="1h", ttl="7d", changelog=True'
    ),
    'window=sl.tumbling("1h", on="t", lateness="10m"), keys=["k"]',
    (
        f'window=sl.hopping("1d", "1h", on={ON}, offset="-90s", zone="Asia/Tokyo"), '
        'emit="updates", early="1500ms", null_keys="drop"'
    ),
    'window=sl.session("30m", on="t", longest="1d")',
    "window=sl.count_window(10)",
    'window=sl.tumbling("1mo", on={"a": "t", "b": sl.event_time("u", unit="s")})',
    (
        'join=sl.interval_join("a", "b", keys=["k", ("id", "other")], '
        'times={"a": "t", "b": "u"}, lower="-5m", upper="expires", how="left")'
    ),
    'join=sl.interval_join("a", "a", keys=["k"], times="t", upper="1us")',
    'join=sl.table_join("a", "b", keys=["k"], how="left", as_of=("t", "u"))',
    'join=sl.table_join("a", "b", keys=["k"], on="t")',
    (
        'join=sl.regular_join("a", "b", keys=["k"], how="full", ttl="7d", '
        'identity={"a": ["id"]})'
    ),
]


def made(text: str) -> Any:
    """Return what the arguments of ``sl.transform`` declare."""

    def two(a: pl.LazyFrame, b: pl.LazyFrame) -> Any:
        return a, b

    def one(a: pl.LazyFrame) -> Any:
        return a

    function = one if "join=" in text or "window=" in text else two
    function = two if "{" in text and "window=" in text else function
    declare = eval(f"sl.transform({text})", {"sl": sl, "pl": pl})
    return declare(function).needs


@pytest.mark.parametrize("text", DECLARED)
def test_a_declaration_is_written_as_it_was(text: str) -> None:
    """Word for word, where it is written the short way; so it gives the same again."""
    needs = made(text)
    written = ", ".join(arguments(needs, Writer(lambda _: "pl")))
    assert made(written) == needs
    assert sorted(written) == sorted(text)


FOLD = """\
import polars as pl
import streamlab as sl
FIRST = 1

@sl.transform(keys="carrier", state={"n": pl.Int64})
def numbered(flights, state):
    known = flights.join(state, on="carrier", how="left", maintain_order="left")
    n = pl.int_range(FIRST, pl.len() + FIRST).over("carrier") + pl.col("n").fill_null(0)
    output = known.with_columns(n=n.cast(pl.Int64))
    return output, output.group_by("carrier").agg(pl.col("n").last())

once = sl.deduplicate(["carrier", "arr_delay"], within=None)
again = sl.deduplicate("carrier", within="1h")
"""


def pipeline(sample: Sample, *transforms: Any) -> Pipeline:
    """Return a pipeline of some transforms."""
    stream = Input(KafkaSource("flights"), "json", sample.schema)
    letters = DeadLetters(file=Path("dead.jsonl"))
    return Pipeline(
        name="folded",
        inputs=(stream,),
        sink=ConsoleSink(),
        dead_letters=letters,
        transforms=transforms,
    )


def test_a_fold_and_a_transform_of_the_library_are_exported(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """The package holds the declaration, and the call as it was made."""
    names = cells(FOLD)
    what = pipeline(sample, names["once"], names["numbered"])
    done = export.write(what, sample=sample, folder=tmp_path)
    text = (done.folder / "folded/transform.py").read_text()
    assert '@sl.transform(keys=["carrier"], state={"n": pl.Int64})\n' in text
    call = 'deduplicate = sl.deduplicate(["carrier", "arr_delay"], within=None)\n'
    assert call in text
    loaded = load(done.folder)
    assert loaded.transforms[1].needs == names["numbered"].needs
    assert loaded.transforms[0].name == "deduplicate"


COMBINED = """\
import polars as pl
import streamlab as sl

def merged(parts):
    return parts.group_by("carrier", "window_start").agg(pl.col("n").sum())

@sl.transform(window=sl.count_window(2), keys="carrier", combine=merged)
def counted(flights):
    return flights.group_by("carrier", "window_start").agg(n=pl.len().cast(pl.Int64))
"""


def test_the_function_that_combines_is_carried(cells: Cells) -> None:
    """It is another function of the module, defined before the transform."""
    captured = capture([cells(COMBINED)["counted"]])
    assert captured.problems == ()
    assert [one.name for one in captured.definitions] == ["merged", "counted"]
    text = text_of(captured, {}, docstring="Transforms.")
    assert 'window=sl.count_window(2), keys=["carrier"], combine=merged)' in text


def test_two_transforms_of_one_name_are_refused(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """The library's have the argument ``name`` for that."""
    names = cells(FOLD)
    what = pipeline(sample, names["once"], names["again"])
    with pytest.raises(ExportRefused, match="the name stands for two things"):
        export.write(what, sample=sample, folder=tmp_path)


WINDOWED = """\
import polars as pl
import streamlab as sl

@sl.transform(window=sl.tumbling("1h", on="_timestamp"), keys="carrier")
def hourly(flights):
    return flights.group_by("window_start", "carrier").agg(n=pl.len())

@sl.transform(join=sl.interval_join(
    "flights", "weather", keys="carrier", times="_timestamp", upper="1h"))
def joined(pairs):
    return pairs
"""


def test_a_windowed_transform_is_proved_with_all_its_windows(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """The sample ends, so its last windows close and are expected, too."""
    done = export.write(
        cells(WINDOWED)["hourly"], sample=sample, sink=ConsoleSink(), folder=tmp_path
    )
    expected = pl.read_parquet(done.folder / "sample/expected.parquet")
    assert expected["n"].to_list() == [1, 1, 1]
    assert load(done.folder).transforms[0].needs == cells(WINDOWED)["hourly"].needs


def test_a_transform_of_several_streams_is_refused(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """As a pipeline with several inputs is: a sample is of one topic."""
    with pytest.raises(ExportRefused, match="a sample is of one topic") as error:
        export.write(
            cells(WINDOWED)["joined"],
            sample=sample,
            sink=ConsoleSink(),
            folder=tmp_path,
        )
    assert "flights, weather" in error.value.message
