"""Latencies counted by how long they were, so that workers and moments add up."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

EDGES_MS = (
    *(1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000),
    *(1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 20_000, 60_000),
)
"""Upper ends of the classes, ms; the last class has no end."""

SECOND_MS = 1_000


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many latencies there were of each class.

    Attributes:
        counts: One number a class of :data:`EDGES_MS`, and one for what is above.
    """

    counts: tuple[int, ...] = (0,) * (len(EDGES_MS) + 1)

    @classmethod
    def of(cls, values_ms: Iterable[float]) -> Histogram:
        """Count values, in ms."""
        counts = [0] * (len(EDGES_MS) + 1)
        for value in values_ms:
            counts[bisect.bisect_left(EDGES_MS, value)] += 1
        return cls(tuple(counts))

    @classmethod
    def parsed(cls, counts: Sequence[int]) -> Histogram:
        """Return what another process has counted; nothing, if it has other classes."""
        return cls(tuple(counts)) if len(counts) == len(EDGES_MS) + 1 else cls()

    def __add__(self, other: Histogram) -> Histogram:
        """Return both together."""
        return Histogram(
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        )

    def since(self, earlier: Histogram) -> Histogram:
        """Return what came after an earlier count; all, if that was of another run."""
        grown = tuple(a - b for a, b in zip(self.counts, earlier.counts, strict=True))
        return self if min(grown) < 0 else Histogram(grown)

    @property
    def total(self) -> int:
        """Return how many there are."""
        return sum(self.counts)

    def quantile_ms(self, share: float) -> float | None:
        """Return about the value that a share of all is not above, in ms.

        Inside of a class the values count as spread evenly. None if there are none,
        or it is above the last edge.
        """
        wanted, below = share * self.total, 0
        lower = (0, *EDGES_MS)
        for start, end, count in zip(lower, EDGES_MS, self.counts, strict=False):
            if count and below + count >= wanted:
                return start + (end - start) * max(0.0, wanted - below) / count
            below += count
        return None

    def bars(self) -> Mapping[str, int]:
        """Return class → count, from the first class with one to the last."""
        used = [at for at, count in enumerate(self.counts) if count]
        if not used:
            return {}
        ends = [*map(_spelled, EDGES_MS)]
        names = [
            f"< {ends[0]}",
            *itertools.starmap(_between, itertools.pairwise(ends)),
            f"> {ends[-1]}",
        ]
        shown = slice(used[0], used[-1] + 1)
        return dict(zip(names[shown], self.counts[shown], strict=True))


def _spelled(edge_ms: int) -> str:
    return f"{edge_ms / SECOND_MS:g} s" if edge_ms >= SECOND_MS else f"{edge_ms} ms"


def _between(start: str, end: str) -> str:
    """Return ``3–5 ms``: the unit once, where it is the same."""
    number, _, unit = start.partition(" ")
    return f"{number if end.endswith(f' {unit}') else start}–{end}"
