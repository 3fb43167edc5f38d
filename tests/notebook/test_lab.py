"""What a person sees in JupyterLab, in a real browser on a real broker."""

import os
import re

import orjson
import pytest
from playwright.sync_api import expect

from streamlab.observe.histogram import Histogram
from streamlab.observe.server import StatusServer
from streamlab.observe.status import WorkerStatus
from streamlab.observe.workers import announced
from tests.unit.notebook.corpus import HOSTILE

pytestmark = [pytest.mark.notebook, pytest.mark.integration, pytest.mark.slow]

LOAD = "%load_ext streamlab"
DELAYED = """import polars as pl, streamlab as sl
@sl.transform
def delayed(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.filter(pl.col("arr_delay") > 15)
"""
PRODUCE = """import threading, time
from confluent_kafka import Producer
def produce():
    producer = Producer({{"bootstrap.servers": "{address}"}})
    for number in range(400):
        producer.produce("{topic}", b'{{"arr_delay": %d}}' % (number % 60))
        producer.flush(); time.sleep(0.02)
threading.Thread(target=produce, daemon=True).start()
"""


def flights(count=40):
    """Return events of flights."""
    return [orjson.dumps({"carrier": "UA", "arr_delay": n}) for n in range(count)]


def painted(output):
    """Return how often the live view in an output has been painted."""
    return int(output.locator(".sl-live").get_attribute("data-painted"))


def test_an_evaluation_shows_below_its_cell(lab, front, produced):
    """Tap, define, see: rows in and out, and what may be claimed."""
    topic = produced(flights())
    notebook = lab.open(front.page, [LOAD, f"%tap {topic} --as flights", DELAYED])
    notebook.run_all()
    expect(notebook.output(1)).to_contain_text("40 events")
    below = notebook.output(2)
    expect(below).to_contain_text("24 rows out")
    expect(below).to_contain_text("shown")


EVENTS = """import polars as pl
minutes = pl.Series([n * 2.0 - (n * 7 % 11) for n in range(200)] + [30.0])
millis = (minutes * 60_000).cast(pl.Int64) + 1_704_067_200_000
flights = pl.DataFrame({"at": millis.cast(pl.Datetime("ms", "UTC")),
                        "carrier": ["UA", "AA", "B6"] * 67})
"""
HOURLY = """%%transform --window 1h --on at --keys carrier --bound 10m
def hourly(flights):
    return flights.group_by("window_start", "carrier").agg(flights=pl.len())
"""


def test_a_window_shows_what_is_complete_and_a_picture(lab, front):
    """Rows, what is incomplete apart, and event time as an image that is drawn."""
    notebook = lab.open(front.page, [LOAD, EVENTS, HOURLY])
    notebook.run_all()
    below = notebook.output(2)
    expect(below).to_contain_text("20 rows out")
    expect(below).to_contain_text("incomplete when the sample ends")
    expect(below).to_contain_text("1 late")
    picture = below.locator("img")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 300")


def test_lag_and_throughput_paint_and_update(lab, front, produced, kafka_address):
    """Live views go on by themselves, and stop when their button is pressed."""
    topic = produced(flights(), group="streamlab.lab-delays")
    produce = PRODUCE.format(address=kafka_address, topic=topic)
    cells = [LOAD, "%lag lab-delays", f"%throughput {topic}", produce]
    notebook = lab.open(front.page, cells)
    notebook.run_all()
    lag, throughput = notebook.output(1), notebook.output(2)
    expect(lag).to_contain_text("lag of streamlab.lab-delays")
    expect(lag.locator("canvas")).to_be_visible()
    expect(throughput).to_contain_text(re.compile(r"[1-9][\d.]*/s"), timeout=15_000)
    before = painted(lag)
    front.page.wait_for_function(
        "before => +document.querySelector('.sl-live').dataset.painted > before + 1",
        arg=before,
    )
    lag.get_by_role("button", name="Stop").click()
    expect(lag).to_contain_text("stopped")


def test_running_a_cell_again_replaces_its_view(lab, front, produced):
    """One view a cell: the earlier one has stopped."""
    produced(flights(), group="streamlab.lab-again")
    notebook = lab.open(front.page, [LOAD, "%lag lab-again", "%stop"])
    notebook.run_all()
    notebook.run(1)
    notebook.run(2)
    expect(notebook.output(2)).to_contain_text("1 running")


def test_a_live_tap_shows_new_events(lab, front, produced, kafka_address):
    """Events that come in are shown while no cell runs."""
    topic = produced(flights())
    produce = PRODUCE.format(address=kafka_address, topic=topic)
    notebook = lab.open(front.page, [LOAD, f"%tap {topic} --live", produce])
    notebook.run_all()
    expect(notebook.output(1)).to_contain_text("arr_delay", timeout=15_000)


def test_an_event_is_picked_as_a_test_case(lab, front, produced, kafka_address):
    """The button of an event adds it to the named sample, also while events come."""
    topic = produced(flights())
    produce = PRODUCE.format(address=kafka_address, topic=topic)
    cells = [
        LOAD,
        f"%tap {topic} --live --into cases",
        produce,
        "print(len(cases.frame))",
    ]
    notebook = lab.open(front.page, cells)
    for cell in range(3):
        notebook.run(cell)
    live = notebook.output(1).locator(".sl-live")
    expect(live.locator(".sl-pick").first).to_be_visible(timeout=15_000)
    for count in (1, 2):
        live.locator("tbody").hover()
        expect(live).to_contain_text("stand still")
        row = live.locator("tbody tr").nth(2 * count)
        row.locator(".sl-pick").click()
        expect(live).to_contain_text(f"added to cases, which has {count} event(s) now")
        front.page.mouse.move(5, 5)
        expect(live).not_to_contain_text("stand still")
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("2")


def test_a_pick_waits_for_the_cell_that_runs(lab, front, produced):
    """Nothing blocks: the event is added when the cell has ended."""
    topic = produced(flights())
    cells = [
        LOAD,
        f"%tap {topic} --live --into cases",
        "import time; time.sleep(4); print('slept')",
    ]
    notebook = lab.open(front.page, cells)
    notebook.run(0)
    notebook.run(1)
    live = notebook.output(1).locator(".sl-live")
    expect(live.locator(".sl-pick").first).to_be_visible(timeout=15_000)
    notebook.select(2)
    front.page.evaluate("() => void jupyterapp.commands.execute('notebook:run-cell')")
    live.locator(".sl-pick").first.click()
    expect(live).to_contain_text("when no cell runs")
    expect(notebook.output(2)).to_contain_text("slept", timeout=15_000)
    expect(live).to_contain_text("added to cases, which has 1 event(s) now")


def test_a_preview_shows_live_output(lab, front, produced, kafka_address):
    """``%start`` without a destination applies the transform in memory."""
    topic = produced(flights())
    produce = PRODUCE.format(address=kafka_address, topic=topic)
    tap = f"%tap {topic} --as flights"
    cells = [LOAD, tap, DELAYED, "%start delayed", produce]
    notebook = lab.open(front.page, cells)
    notebook.run_all()
    expect(notebook.output(3)).to_contain_text("preview of delayed()")
    expect(notebook.output(3)).to_contain_text(
        re.compile(r"[1-9]\d* rows out"), timeout=15_000
    )


def test_names_and_options_complete(lab, front, produced):
    """Tab offers topics and options."""
    topic = produced(flights())
    notebook = lab.open(front.page, [LOAD, "%topics", ""])
    notebook.run_all()
    assert topic in notebook.complete(f"%tap {topic[:8]}")
    assert "--last" in notebook.complete("%tap --l")


def test_an_error_is_one_message(lab, front, notebooks):
    """A mistake shows what failed and a hint, and no traceback."""
    notebook = lab.open(front.page, [LOAD, "%tap no-such-topic"])
    notebook.run_all()
    expect(notebook.output(1)).to_contain_text("no-such-topic")
    expect(notebook.output(1)).to_contain_text("Hint:")
    expect(notebook.output(1)).not_to_contain_text("Traceback")


def test_hostile_messages_stay_text(lab, front, produced):
    """Keys, values, columns, groups and errors run nothing, static or live."""
    values = [orjson.dumps({"v": text, "n": {"x": text}}) for text in HOSTILE]
    values += [b"<script>window.pwned = 1</script>"]  # does not decode
    keys = [text.encode(errors="replace") for text in (*HOSTILE, HOSTILE[0])]
    group = f"streamlab.{HOSTILE[1]}"
    topic = produced(values, keys=keys, group=group)
    columns = "flights = pl.DataFrame({t: [t] for t in corpus})"
    cells = [
        f"{LOAD}\nimport polars as pl, streamlab as sl\ncorpus = {HOSTILE!r}",
        f"%tap {topic} --as flights",
        columns,
        "@sl.transform\ndef shown(flights): return flights",
        '%lag "' + HOSTILE[1].replace('"', '\\"') + '"',
        "raise sl.StreamlabError(corpus[0], hint=corpus[1])",
    ]
    notebook = lab.open(front.page, cells)
    notebook.run_all()
    expect(notebook.output(1)).to_contain_text("window.pwned")
    expect(notebook.output(3)).to_contain_text("window.pwned")
    expect(notebook.output(4).locator(".sl-live")).to_contain_text("onerror")
    expect(notebook.output(5)).to_contain_text("<script>")
    front.page.wait_for_timeout(500)
    assert front.page.evaluate("() => window.pwned") is None


def test_the_browser_would_have_run_it(front):
    """The check above sees a script that does run."""
    front.page.set_content("<img src=x onerror='window.pwned = 1'>")
    front.page.wait_for_function("() => window.pwned === 1")


def test_a_histogram_of_latencies_is_live(lab, front, notebooks):
    """``%latency`` draws what a worker counts, and goes on by itself."""
    measured = [4.0]
    folder = notebooks / ".streamlab"

    def told():
        counts = {"event": list(Histogram.of(measured).counts)}
        return WorkerStatus(
            "orders", "orders-1", os.getpid(), "running", 0, latency_counts=counts
        )

    with (
        StatusServer(told) as server,
        announced("orders", "orders-1", server.port, state_folder=folder),
    ):
        notebook = lab.open(front.page, [LOAD, "%latency orders"])
        notebook.run_all()
        view = notebook.output(1).locator(".sl-live")
        expect(view).to_contain_text("no event since this view was opened")
        measured += [12.0] * 30 + [40.0] * 8 + [170.0]
        expect(view).to_contain_text("39 events looked at", timeout=15_000)
        expect(view.locator("canvas")).to_be_visible()
        measured += [12.0]
        expect(view).to_contain_text("40 events looked at", timeout=15_000)
        view.get_by_role("button", name="Stop").click()
        expect(view).to_contain_text("stopped")
