"""The report of a run: one HTML page that needs nothing else and loads nothing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from html import escape
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from streamlab.headless.execution import Execution

TEMPLATE = "basic"  # the cells alone: no page around them, no address of a script

# Whatever a notebook's output holds: no script of it runs, nothing is loaded.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def write(executions: Sequence[Execution], path: Path, *, asked: int) -> None:
    """Write the page: a table of all notebooks, then each of them.

    Args:
        executions: What was finished.
        path: The page; its folder is made.
        asked: How many notebooks were to be run.
    """
    failed = sum(not execution.passed for execution in executions)
    notebooks = f"{asked} notebook{'s' if asked > 1 else ''}"
    title = f"{notebooks} passed"
    if failed:
        title = f"{failed} of {notebooks} failed"
    elif len(executions) < asked:
        title = f"interrupted: {len(executions)} of {notebooks} passed"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title><style>{_code_style()}{STYLE}</style></head>",
        f"<body><h1>{escape(title)}</h1>",
        _summary(executions),
        *(
            _section(number, execution, alone=len(executions) == 1)
            for number, execution in enumerate(executions, 1)
        ),
        "</body></html>\n",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text("\n".join(parts), encoding="utf-8")
    part.replace(path)


def _summary(executions: Sequence[Execution]) -> str:
    head = ("notebook", "parameters", "state", "seconds", "failed cell")
    rows = [
        "<tr>"
        f'<td><a href="#run-{number}">{escape(execution.name)}</a></td>'
        f"<td>{_parameters(execution)}</td>"
        f"<td>{_state(execution)}</td>"
        f'<td class="n">{execution.seconds:.1f}</td>'
        f"<td>{_failed_cell(execution)}</td>"
        "</tr>"
        for number, execution in enumerate(executions, 1)
    ]
    heads = "".join(
        f'<th class="{"n" if name == "seconds" else ""}">{name}</th>' for name in head
    )
    return (
        f'<table class="summary"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _parameters(execution: Execution) -> str:
    return "<br>".join(
        f"{escape(name)} = {escape(value)}"
        for name, value in execution.parameters.items()
    )


def _state(execution: Execution) -> str:
    return (
        '<b class="passed">passed</b>'
        if execution.passed
        else '<b class="failed">failed</b>'
    )


def _failed_cell(execution: Execution) -> str:
    failure = execution.failure
    if failure is None:
        return ""
    where = f"{failure.number}: {failure.cell}" if failure.cell else failure.kind
    events = (
        f"<br>events: {escape(', '.join(failure.events))}" if failure.events else ""
    )
    return escape(where) + events


def _section(number: int, execution: Execution, *, alone: bool) -> str:
    opened = " open" if alone or not execution.passed else ""
    failure = (
        f'<pre class="failure">{escape(str(execution.failure))}</pre>'
        if execution.failure
        else ""
    )
    return (
        f'<details id="run-{number}"{opened}>'
        f"<summary>{escape(execution.name)} {_state(execution)}</summary>"
        f"{failure}{_body(execution.notebook)}</details>"
    )


def _body(path: Path) -> str:
    """Return an executed notebook as HTML, without the page around it."""
    import nbformat
    from nbconvert import HTMLExporter

    if not path.exists():
        return "<p>It did not come so far that there is a notebook.</p>"
    there = _templates()
    exporter: Any = HTMLExporter(
        template_name=TEMPLATE,
        extra_template_basedirs=there,
        extra_template_paths=there,
    )
    with warnings.catch_warnings():
        # nbconvert asks for alternative texts of pictures; ours stand beside tables.
        warnings.simplefilter("ignore", UserWarning)
        body, _ = exporter.from_notebook_node(nbformat.read(path, as_version=4))
    return f'<div class="notebook">{body}</div>'


def _templates() -> list[str]:
    """Return where nbconvert's own templates are.

    It looks in ``share/jupyter`` of the environment; in one that has its packages from
    another, by links or by its path, they are in that other one.
    """
    import nbconvert

    packages = Path(nbconvert.__file__).resolve().parents[1]
    wanted = f"nbconvert/templates/{TEMPLATE}/conf.json"
    return [
        str((packages / file.as_posix()).resolve().parents[1])
        for file in distribution("nbconvert").files or ()
        if file.as_posix().endswith(wanted)
    ]


def _code_style() -> str:
    from pygments.formatters import HtmlFormatter

    return str(HtmlFormatter(style="default").get_style_defs(".highlight"))


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; background: #fff;
  max-width: 1100px; margin: 24px auto; padding: 0 16px; }
h1 { font-size: 22px; } h2 { font-size: 19px; } h3 { font-size: 16px; }
a { color: #2b5d8a; } .anchor-link { display: none; }
table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; vertical-align: top; padding: 4px 14px 4px 0;
  border-bottom: 1px solid #d8dee4; }
.summary { width: 100%; margin-bottom: 24px; } .summary .n { text-align: right; }
.passed { color: #2e7d4f; } .failed { color: #c2334d; }
details { border: 1px solid #d8dee4; border-radius: 6px; margin: 12px 0;
  padding: 8px 16px; }
summary { cursor: pointer; font-weight: 600; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12.5px; margin: 0; }
.failure { background: #fdf0f2; border-left: 3px solid #c2334d; padding: 8px 12px;
  margin: 12px 0; }
.highlight { background: #f6f8fa; border-radius: 4px; padding: 8px 12px; }
.prompt, .jp-InputPrompt, .jp-OutputPrompt { color: #8b949e; font: 11px monospace; }
.input, .jp-Cell-inputWrapper, .jp-Cell-outputWrapper { margin: 8px 0; }
.output_area, .jp-OutputArea-child { overflow-x: auto; }
.jp-RenderedText[data-mime-type*=stderr], .output_stderr, .output_error {
  background: #fdf0f2; }
.ansi-red-fg { color: #c2334d; } .ansi-green-fg { color: #2e7d4f; }
.ansi-cyan-fg, .ansi-blue-fg { color: #2b5d8a; } .ansi-yellow-fg { color: #8a6d1a; }
.ansi-bold { font-weight: 600; }
img { max-width: 100%; height: auto; }
"""
