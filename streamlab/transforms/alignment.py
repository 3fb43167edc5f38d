"""Where windows begin and end, on the clock of a time zone.

A *boundary* is an instant at which the clock of the zone reads a multiple of a span.
Where the clock is put forward over a multiple, the boundary is the instant at which
that happens. Where it is put back, it reads some times twice: both are boundaries of
hours and less, the first one alone is one of days and longer. So every instant
belongs to one window, and windows begin where ``polars.Expr.dt.truncate`` says.

Instants are Int64, in µs since 1970 UTC; local times are what the clock reads, in the
same unit since 1970 on that clock.

Source: https://docs.pola.rs/api/python/stable/reference/expressions/api/polars.Expr.dt.truncate.html
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from streamlab.transforms.spans import DAY_US, Span


@dataclass(frozen=True, slots=True)
class Alignment:
    """The boundaries of a span.

    Attributes:
        every: The span.
        offset_us: How far its multiples are shifted on the clock, in µs.
        zone: Whose clock, as IANA names it.
    """

    every: Span
    offset_us: int = 0
    zone: str = "UTC"

    def floor(self, instants: pl.Series) -> pl.Series:
        """Return the boundary at or before each instant."""
        local = self.local(instants)
        multiple = self.every.floor(local, self.offset_us)
        if self.zone == "UTC":
            return multiple
        if self.every.calendar:
            # Where the clock was put back over a boundary, that was reached already.
            following = self.instants(self.every.after(multiple))
            reached = following <= instants
            return _where(reached, following, self.instants(multiple))
        starts = instants - (local - multiple)
        crossed = self.local(starts) - starts != local - instants
        if not crossed.any():
            return starts
        # The clock changed since: what was the last boundary by the clock before?
        rows = pl.DataFrame({"start": starts, "instant": instants}).filter(crossed)
        changed = rows.group_by("start").agg(pl.col("instant").max())
        found = changed["start"], self._last_before_change(*changed)
        ends = rows["start"].replace_strict(*found, return_dtype=pl.Int64)
        return _put(starts, crossed, ends)

    def next(self, boundaries: pl.Series) -> pl.Series:
        """Return the boundary that follows each one."""
        local = self.local(boundaries)
        multiple = self.every.after(self.every.floor(local, self.offset_us))
        if self.zone == "UTC":
            return multiple
        if self.every.calendar:
            return self.instants(multiple)
        ends = boundaries + (multiple - local)
        crossed = self.local(ends) - ends != local - boundaries
        if not crossed.any():
            return ends
        changes = self._change(boundaries.filter(crossed), ends.filter(crossed))
        # The first boundary by the new clock, if not the change itself.
        reads = self.local(changes)
        last = self.every.floor(reads, self.offset_us)
        following = changes + (self.every.after(last) - reads)
        is_one = (last == reads) | self._skips(changes)
        return _put(ends, crossed, _where(is_one, changes, following))

    def plus(self, boundaries: pl.Series, span: Span) -> pl.Series:
        """Return what is one span behind each boundary: the end of its window."""
        if span == self.every:
            return self.next(boundaries)
        if span.is_fixed(self.zone):
            return boundaries + span.us
        local = self.every.floor(self.local(boundaries), self.offset_us)
        return self.instants(span.after(local))

    def local(self, instants: pl.Series) -> pl.Series:
        """Return what the clock reads at each instant."""
        if self.zone == "UTC":
            return instants
        zoned = instants.cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(self.zone)
        return zoned.dt.replace_time_zone(None).cast(pl.Int64)

    def instants(self, local: pl.Series) -> pl.Series:
        """Return when the clock first reads each local time, or goes past it."""
        if self.zone == "UTC":
            return local
        zoned = local.cast(pl.Datetime("us")).dt.replace_time_zone(
            self.zone, ambiguous="earliest", non_existent="null"
        )
        found = zoned.cast(pl.Int64)
        skipped = found.is_null()
        if not skipped.any():
            return found
        gone = local.filter(skipped)
        # No zone is more than a day off.
        return _put(found, skipped, self._change(gone - DAY_US, gone + DAY_US))

    def _last_before_change(self, starts: pl.Series, instants: pl.Series) -> pl.Series:
        """Return the last boundary up to the change of the clock between two times."""
        changes = self._change(starts, instants)
        before = self.local(changes - 1)
        last = changes - 1 - (before - self.every.floor(before, self.offset_us))
        return _where(self._skips(changes), changes, last)

    def _skips(self, changes: pl.Series) -> pl.Series:
        """Return whether the clock skips a multiple when it is changed."""
        return self.every.floor(self.local(changes) - 1, self.offset_us) > self.local(
            changes - 1
        )

    def _change(self, low: pl.Series, high: pl.Series) -> pl.Series:
        """Return when between two instants the clock is changed."""
        offset = self.local(low) - low
        while (high - low > 1).any():
            middle = (low + high) // 2
            changed = self.local(middle) - middle != offset
            low, high = _where(changed, low, middle), _where(changed, middle, high)
        return high


def _where(mask: pl.Series, true: pl.Series, false: pl.Series) -> pl.Series:
    return true.zip_with(mask, false)


def _put(values: pl.Series, mask: pl.Series, those: pl.Series) -> pl.Series:
    """Return values with others where a mask says so."""
    return values.clone().scatter(mask.arg_true(), those)
