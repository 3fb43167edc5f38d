"""A pipeline as a picture: Mermaid for texts, SVG for pages. Nothing is markup."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from streamlab.pipelines.declared import short
from streamlab.pipelines.pipeline import Pipeline
from streamlab.transforms.transform import Transform

BOX_HEIGHT, GAP, MARGIN, ROW_GAP = 56, 44, 12, 16  # px
LETTER_WIDTH = 7.2  # px, of 12 px sans-serif, wide letters counted in
MOST_LETTERS = 44  # of a line; longer ones are cut with …


@dataclass(frozen=True)
class Box:
    """One step of the picture: what it is, and its name."""

    role: str
    name: str

    @property
    def width(self) -> int:
        """Return the width that its lines need, in px."""
        return int(max(len(self.role), len(self.shown)) * LETTER_WIDTH) + 24

    @property
    def shown(self) -> str:
        """Return the name on one line, cut where it is long."""
        line = " ".join(self.name.split())
        return line if len(line) <= MOST_LETTERS else f"{line[: MOST_LETTERS - 1]}…"


@dataclass(frozen=True)
class Flow:
    """What a picture shows.

    Attributes:
        sources: One below the other; all lead to the first step.
        steps: What follows them, from left to right.
        letters: The dead letters.
    """

    sources: tuple[Box, ...]
    steps: tuple[Box, ...]
    letters: Box

    @classmethod
    def of(cls, pipeline: Pipeline) -> Flow:
        """Return the picture of a pipeline."""
        letters = pipeline.dead_letters
        place = (
            f"topic {letters.topic}" if letters.topic else f"file {_name(letters.file)}"
        )
        several = len(pipeline.inputs) > 1
        return cls(
            tuple(
                Box(f"source {name}" if several else "source", one.source.describe())
                for name, one in pipeline.inputs.items()
            ),
            (
                *(Box(_role(one), one.name) for one in pipeline.transforms),
                Box("sink", pipeline.sink.describe()),
            ),
            Box("dead letters", place),
        )


def mermaid(pipeline: Pipeline) -> str:
    """Return the pipeline as a Mermaid flow chart, ending with a line break."""
    flow = Flow.of(pipeline)
    lines = ["flowchart LR"]
    boxes = (*flow.sources, *flow.steps)
    for number, box in enumerate(boxes):
        lines.append(f'  s{number}["{_quoted(box)}"]')
    lines.append(f'  dead["{_quoted(flow.letters)}"]')
    others = len(flow.sources) - 1
    lines += [f"  s{number} --> s{others + 1}" for number in range(others)]
    chain = range(others, len(boxes))
    lines.append("  " + " --> ".join(f"s{number}" for number in chain))
    lines += [f"  s{number} -. rejected .-> dead" for number in range(others + 1)]
    return "\n".join(lines) + "\n"


def svg(pipeline: Pipeline) -> str:
    """Return the pipeline as an SVG drawing that follows the page's text colour."""
    flow = Flow.of(pipeline)
    widest = max(box.width for box in flow.sources)
    lefts = [MARGIN + widest + GAP]
    for box in flow.steps:
        lefts.append(lefts[-1] + box.width + GAP)
    rows = [MARGIN + n * (BOX_HEIGHT + ROW_GAP) for n in range(len(flow.sources))]
    below = rows[-1] + BOX_HEIGHT + GAP
    width = max(lefts[-1] - GAP, MARGIN + flow.letters.width) + MARGIN
    height = below + BOX_HEIGHT + MARGIN
    middle = MARGIN + BOX_HEIGHT // 2
    shapes = []
    for box, y in zip(flow.sources, rows, strict=True):
        shapes.append(_box(box, MARGIN, y))
        shapes.append(_joint(MARGIN + box.width, y + BOX_HEIGHT // 2, lefts[0], middle))
    for box, x, after in zip(flow.steps, lefts, lefts[1:], strict=False):
        shapes.append(_box(box, x, MARGIN))
        if box is not flow.steps[-1]:
            shapes.append(_arrow(x + box.width, middle, after, middle))
    last = flow.sources[-1]
    centre = MARGIN + min(last.width, flow.letters.width) // 2
    shapes.append(_arrow(centre, below - GAP, centre, below, dashed=True))
    shapes.append(_box(flow.letters, MARGIN, below))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" '
        f'font-size="12" fill="none" stroke="currentColor">'
        f"<title>pipeline {escape(pipeline.name)}</title>{''.join(shapes)}</svg>"
    )


def _role(transform: Transform[Any, Any]) -> str:
    return short(transform) or "transform"


def _joint(x1: int, y1: int, x2: int, y2: int) -> str:
    """Return an arrow to the right that may go up to another row."""
    if y1 == y2:
        return _arrow(x1, y1, x2, y2)
    turn = x2 - GAP // 2
    return f'<path d="M{x1} {y1}H{turn}V{y2}"/>'


def _box(box: Box, x: int, y: int) -> str:
    middle = x + box.width // 2
    text = 'fill="currentColor" stroke="none" text-anchor="middle"'
    role = escape(box.role)
    return (
        f'<rect x="{x}" y="{y}" width="{box.width}" height="{BOX_HEIGHT}" rx="6"/>'
        f'<text x="{middle}" y="{y + 22}" {text} opacity="0.6">{role}</text>'
        f'<text x="{middle}" y="{y + 40}" {text}>{escape(box.shown)}</text>'
    )


def _arrow(x1: int, y1: int, x2: int, y2: int, *, dashed: bool = False) -> str:
    """Return a line with a head at its end; it runs to the right or down."""
    head = f"M{x2 - 6} {y2 - 4}L{x2} {y2}L{x2 - 6} {y2 + 4}"
    if x1 == x2:
        head = f"M{x2 - 4} {y2 - 6}L{x2} {y2}L{x2 + 4} {y2 - 6}"
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<path d="M{x1} {y1}L{x2} {y2}"{dash}/><path d="{head}"/>'


def _quoted(box: Box) -> str:
    """Return a box's text for Mermaid, where ``#`` and ``&`` begin entities."""
    entities = {character: f"#{ord(character)};" for character in "#&<>\"'`[]{}()|\\"}
    role, name = (
        "".join(entities.get(character, character) for character in text)
        for text in (box.role, box.shown)
    )
    return f"{role}<br>{name}"


def _name(path: object) -> str:
    return getattr(path, "name", "")
