"""A pipeline as a picture: Mermaid for texts, SVG for pages. Nothing is markup."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from streamlab.pipelines.pipeline import Pipeline

BOX_HEIGHT, GAP, MARGIN = 56, 44, 12  # px
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


def boxes(pipeline: Pipeline) -> tuple[tuple[Box, ...], Box]:
    """Return the steps from source to sink, and the dead letters beside them."""
    letters = pipeline.dead_letters
    steps = (
        Box("source", pipeline.input.source.describe()),
        *(Box("transform", one.name) for one in pipeline.transforms),
        Box("sink", pipeline.sink.describe()),
    )
    place = f"topic {letters.topic}" if letters.topic else f"file {_name(letters.file)}"
    return steps, Box("dead letters", place)


def mermaid(pipeline: Pipeline) -> str:
    """Return the pipeline as a Mermaid flow chart, ending with a line break."""
    steps, letters = boxes(pipeline)
    lines = ["flowchart LR"]
    for number, box in enumerate(steps):
        lines.append(f'  s{number}["{_quoted(box)}"]')
    lines.append(f'  dead["{_quoted(letters)}"]')
    lines.append("  " + " --> ".join(f"s{number}" for number in range(len(steps))))
    lines.append("  s0 -. rejected .-> dead")
    return "\n".join(lines) + "\n"


def svg(pipeline: Pipeline) -> str:
    """Return the pipeline as an SVG drawing that follows the page's text colour."""
    steps, letters = boxes(pipeline)
    lefts: list[int] = []
    left = MARGIN
    for box in steps:
        lefts.append(left)
        left += box.width + GAP
    width = max(left - GAP, MARGIN + letters.width) + MARGIN
    height = 2 * MARGIN + 2 * BOX_HEIGHT + GAP
    shapes = [_box(box, x, MARGIN) for box, x in zip(steps, lefts, strict=True)]
    for box, x in list(zip(steps, lefts, strict=True))[:-1]:
        middle = MARGIN + BOX_HEIGHT // 2
        shapes.append(_arrow(x + box.width, middle, x + box.width + GAP, middle))
    below = MARGIN + BOX_HEIGHT
    centre = MARGIN + min(steps[0].width, letters.width) // 2
    shapes.append(_arrow(centre, below, centre, below + GAP, dashed=True))
    shapes.append(_box(letters, MARGIN, below + GAP))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" '
        f'font-size="12" fill="none" stroke="currentColor">'
        f"<title>pipeline {escape(pipeline.name)}</title>{''.join(shapes)}</svg>"
    )


def _box(box: Box, x: int, y: int) -> str:
    middle = x + box.width // 2
    text = 'fill="currentColor" stroke="none" text-anchor="middle"'
    return (
        f'<rect x="{x}" y="{y}" width="{box.width}" height="{BOX_HEIGHT}" rx="6"/>'
        f'<text x="{middle}" y="{y + 22}" {text} opacity="0.6">{box.role}</text>'
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
    name = "".join(entities.get(character, character) for character in box.shown)
    return f"{box.role}<br>{name}"


def _name(path: object) -> str:
    return getattr(path, "name", "")
