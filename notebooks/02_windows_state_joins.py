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
# # Windows, state and joins: a year of delays
#
# The transforms of the first tutorial looked at one flight at a time. Here are four
# questions that need more: how late is each carrier, hour by hour? Which planes could
# not be back for their next flight? What does rain do? Which planes stood still for
# more than a day? Each is a plain polars function, and what it needs is declared beside
# it. We see it on a sample, run it over the whole year by the real worker, and compare
# with the same computation in polars on the whole table.

# %%
# %load_ext streamlab

# %% tags=["parameters"]
SAMPLE_EVENTS: int = 6_000  # 1_000..100_000: how many events to look at

# %%
# %connect

# %%
# %tap flights --last {SAMPLE_EVENTS}

# %% [markdown]
# ## Windows: how late is each carrier, hour by hour?
#
# A message's time on this topic is the scheduled departure; a tap shows it as
# `_timestamp`. The function sees **complete hours**: all the windows that close
# together, each with all its rows, so it groups by `window_start` and its keys, and any
# polars expression works.
#
# When is an hour complete? When every partition has passed its end. How far a partition
# has come is its **watermark**, the grey line of the picture below: the latest time so
# far, less the disorder that you allow (`bound=`). Events behind a closed window are
# **late**; they are counted and kept apart, not lost. The hours that are still open
# when the sample ends are shown apart, too: they are no results.

# %%
import polars as pl

import streamlab as sl


@sl.transform(window=sl.tumbling("1h", on="_timestamp"), keys=["carrier"])
def hourly_delay(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Flights and their mean delay, of each carrier and hour."""
    return flights.group_by("window_start", "carrier").agg(
        flights=pl.len(), delay=pl.col("arr_delay").mean()
    )


# %% [markdown]
# The worker gives the same for the whole year. `finish=True` says that nothing will
# come behind the present end of the topic, so all windows close. Here the rows go into
# memory; with `%start hourly_delay --to table:…` they would go into a table, for as long
# as flights come. `sl.forget` lets this notebook run again from the beginning.

# %%
from pathlib import Path

year = sl.Input(sl.KafkaSource("flights"), "json", flights.schema)


def over_the_year(name, *transforms, **others):
    """Run transforms over the whole topic, and return the rows."""
    sink = sl.MemorySink()
    pipeline = sl.Pipeline(
        name=name,
        inputs={"flights": year, **others},
        transforms=transforms,
        sink=sink,
        dead_letters=sl.DeadLetters(file=Path(f"{name}.dead.jsonl")),
    )
    sl.forget(pipeline)
    sl.run(pipeline, finish=True)
    return sink.target.frame()


hours = over_the_year("hourly", hourly_delay)
hours.group_by("carrier").agg(
    pl.col("flights").sum(), pl.col("delay").max().round(1).alias("worst hour")
).sort("flights", descending=True).head(5)

# %% [markdown]
# Every window equals what polars makes of all events at once, which knows nothing of
# streams. A tap of the whole topic is that table:

# %%
from polars.testing import assert_frame_equal

whole = sl.tap("flights", last=400_000, schema=flights.schema, max_bytes=2**28)
every = whole.frame.sort("_timestamp", "_partition", "_offset").with_columns(
    at=pl.col("_timestamp").dt.cast_time_unit("us")
)

expected = every.group_by(
    window_start=pl.col("at").dt.truncate("1h"), carrier="carrier"
)
expected = expected.agg(flights=pl.len(), delay=pl.col("arr_delay").mean())
assert_frame_equal(hours, expected, check_row_order=False)
print(f"{hours.height:,} hours of carriers are equal")

# %% [markdown]
# ## State: which planes could not be back?
#
# All flights leave New York, so before its next flight a plane has to fly there and
# back. A **fold** is a function of events and a state, and returns an output and the
# new state, for all keys of a batch at once: here, for each plane, when it can be back
# at the earliest. With `on=` the rows come in the order of event time, so the flights of
# a plane follow one another even where its carrier changed and with it the partition.


# %%
@sl.transform(
    keys=["tailnum"],
    state={"back": pl.Datetime("ms", "UTC"), "before": pl.Int64},
    on="_timestamp",
)
def not_back(
    flights: pl.LazyFrame, state: pl.LazyFrame
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Flights whose plane cannot have been back from its flight before."""
    away = pl.duration(minutes=pl.col("dep_delay") + 2 * pl.col("air_time"))
    first = pl.int_range(pl.len()).over("tailnum") == 0
    known = (
        flights.filter(pl.col("tailnum").is_not_null())
        .join(state, on="tailnum", how="left", maintain_order="left")
        .with_columns(returns=pl.col("_timestamp") + away)
        .with_columns(
            back=pl.when(first)
            .then("back")
            .otherwise(pl.col("returns").shift().over("tailnum")),
            before=pl.when(first)
            .then("before")
            .otherwise(pl.col("flight").shift().over("tailnum")),
        )
    )
    missed = known.filter(pl.col("back") > pl.col("_timestamp")).select(
        "tailnum", "carrier", "before", "flight", "back", at="_timestamp"
    )
    last = known.group_by("tailnum", maintain_order=True).agg(
        back=pl.col("returns").last(), before=pl.col("flight").last()
    )
    return missed, last


# %%
missed = over_the_year("not-back", not_back)
print(f"{missed.height:,} flights of {every.height:,}")
missed.group_by("carrier").agg(pl.len().alias("flights")).sort(
    "flights", descending=True
).head(5)

# %%
ordered = every.filter(pl.col("tailnum").is_not_null()).with_columns(
    pl.col("at").dt.cast_time_unit("ms")
)
away = pl.duration(minutes=pl.col("dep_delay") + 2 * pl.col("air_time"))
expected = (
    ordered.with_columns(returns=pl.col("at") + away)
    .with_columns(
        back=pl.col("returns").shift().over("tailnum"),
        before=pl.col("flight").shift().over("tailnum"),
    )
    .filter(pl.col("back") > pl.col("at"))
    .select("tailnum", "carrier", "before", "flight", "back", "at")
)
assert_frame_equal(missed, expected, check_row_order=False)
print("equal to the same in polars, over the whole table")

# %% [markdown]
# ## Joins: what does rain do?
#
# The topic `weather` has an hourly observation of each airport. Two streams meet
# **within an interval**: a flight with the weather of the hour in which it is to leave.
# The function sees the pairs. State holds what can still find a partner, and no more:
# as soon as the watermark has passed an hour, its weather is dropped.
#
# A second transform follows in the same pipeline: days, from the pairs.

# %%
# %tap weather --last 3000


# %%
@sl.transform(
    join=sl.interval_join(
        "flights",
        "weather",
        keys="origin",
        times=("_timestamp", "_timestamp"),
        lower="-59m",
        upper="0s",
    )
)
def in_the_weather(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Each flight with the rain of its hour."""
    return pairs.select("origin", "arr_delay", "precip", at="_timestamp")


@sl.transform(
    window=sl.tumbling("1d", on="at", zone="America/New_York"), keys=["origin"]
)
def rainy_days(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """The delay of a day in dry hours and in rain, at each airport."""
    delay, rain = pl.col("arr_delay"), pl.col("precip") > 0
    return pairs.group_by("window_start", "origin").agg(
        flights=pl.len(), dry=delay.filter(~rain).mean(), rain=delay.filter(rain).mean()
    )


# %%
observations = sl.Input(sl.KafkaSource("weather"), "json", weather.schema)
days = over_the_year("rain", in_the_weather, rainy_days, weather=observations)
days.drop_nulls().group_by("origin").agg(
    pl.col("dry", "rain").mean().round(1), days=pl.len()
).sort("origin")

# %%
observed = sl.tap("weather", last=100_000, schema=weather.schema)
hourly = observed.frame.select(
    "origin", "precip", hour=pl.col("_timestamp").dt.cast_time_unit("us")
)
expected = (
    every.with_columns(hour=pl.col("at").dt.truncate("1h"))
    .join(hourly, on=["origin", "hour"])
    .group_by(
        window_start=pl.col("at")
        .dt.convert_time_zone("America/New_York")
        .dt.truncate("1d"),
        origin="origin",
    )
    .agg(
        flights=pl.len(),
        dry=pl.col("arr_delay").filter(pl.col("precip") == 0).mean(),
        rain=pl.col("arr_delay").filter(pl.col("precip") > 0).mean(),
    )
)
assert_frame_equal(days, expected, check_row_order=False)
print(f"{days.height:,} days of airports are equal")

# %% [markdown]
# A day of New York has 23, 24 or 25 hours; the windows of March 10 and November 3 are
# as long as they should be.
#
# ## Sessions: which planes stood still for more than a day?
#
# A **session** goes on as long as the next event comes within the gap. Between two
# sessions of a plane lies more than a day without a flight from New York.


# %%
@sl.transform(window=sl.session("1d", on="_timestamp"), keys=["tailnum"])
def busy_times(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Stretches in which a plane left New York at least once a day."""
    known = flights.filter(pl.col("tailnum").is_not_null())
    return known.group_by("tailnum", "window_start", "window_end").agg(flights=pl.len())


# %%
busy = over_the_year("busy", busy_times)
idle = busy.sort("window_start").with_columns(
    days=(pl.col("window_start").shift(-1).over("tailnum") - pl.col("window_end"))
    .dt.total_days()
    .add(1)
)
idle.drop_nulls().sort("days", "tailnum", descending=True).head(5)

# %%
starts = pl.col("at").diff().over("tailnum") >= pl.duration(days=1)
expected = (
    ordered.with_columns(number=starts.fill_null(value=True).cum_sum().over("tailnum"))
    .group_by("tailnum", "number")
    .agg(
        window_start=pl.col("at").min().dt.cast_time_unit("us"),
        window_end=pl.col("at").max().dt.cast_time_unit("us") + pl.duration(days=1),
        flights=pl.len(),
    )
    .drop("number")
)
assert_frame_equal(busy, expected, check_row_order=False)
print(f"{busy.height:,} sessions are equal")

# %% [markdown]
# ## What next
#
# - [Windows](../docs/windows.md), [folds](../docs/folds.md), [joins](../docs/joins.md):
#   every kind, with what it promises and what it keeps
# - [State](../docs/state.md): where it is, how large it may grow, how it moves
