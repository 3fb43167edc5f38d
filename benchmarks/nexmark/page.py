"""The page of the documentation: ``python -m benchmarks.nexmark.page``.

The code of each query is taken from ``queries.py``, so it is what runs.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from benchmarks.nexmark import queries
from benchmarks.nexmark.queries import QUERIES, Query

PAGE = Path(__file__).parents[2] / "docs" / "nexmark.md"

HEAD = """\
# Nexmark

The queries of the Nexmark suite as streamlab transforms: an auction site with persons,
auctions and bids, 1 : 3 : 46 of fifty events. The suite is that of the Apache Beam and
Flink projects, with their numbers of queries. Not here are q6, q10 and q21: Flink's SQL
cannot say the first, the second only writes files, and the third is q22 once more.

`make nexmark` makes the events (the same for a seed), sends them to Kafka, and runs
each query through the real worker into PostgreSQL twice, with epochs of two sizes: once
killed by SIGKILL in the third epoch and started again, once undisturbed and measured.
Both tables are compared with DuckDB SQL over all events, as multisets; floats may be
apart by 1e-9 of their size. The figures go to `.streamlab/bench/nexmark.json`, the last
measured ones are in [Benchmarks](benchmarks.md#nexmark).

Events reach their topic out of order by less than two seconds, so every stream has a
bound of two seconds, and no event is late. q12 is on the time at which the broker took
a bid.

| query | reads | lines |
|---|---|---|
{table}

The functions use `pl` for polars, `sl` for streamlab, and

```python
{shared}
```

{sections}"""


def page() -> str:
    """Return the text of the page."""
    sections = [f"## {name}\n\n{_says(name)}\n" for name in QUERIES]
    rows = [
        f"| [{name}](#{name}) | {', '.join(query.streams)} | {_lines(query)} |"
        for name, query in QUERIES.items()
    ]
    return HEAD.format(
        table="\n".join(rows),
        shared="\n".join(_assigned(name) for name in ("BOUND", "TIME", "DAY")),
        sections="\n".join(sections),
    )


def code(query: Query) -> str:
    """Return the source of a query's functions, with decorators, without docstrings."""
    return "\n\n".join(_code(name) for name in query.functions)


def _says(name: str) -> str:
    query = QUERIES[name]
    told = [getattr(queries, each).__doc__ or "" for each in query.functions]
    text = " Then: ".join(line.splitlines()[0] for line in told if line)
    helper = "ranked" in code(query) or "STATISTICS" in code(query)
    shown = "\n\n".join(
        [*([_code("ranked"), _assigned("STATISTICS")] * helper), code(query)]
    )
    return f"{text}\n\n```python\n{shown}\n```"


def _lines(query: Query) -> int:
    return sum(bool(line.strip()) for line in code(query).splitlines())


def _code(name: str) -> str:
    made = getattr(queries, name)
    function = getattr(made, "function", made)
    if not inspect.isfunction(function):
        return _assigned(name)
    lines = inspect.getsource(function).splitlines()
    (node,) = ast.parse("\n".join(lines)).body
    assert isinstance(node, ast.FunctionDef)
    first = node.body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if is_text:
        del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(_plain(line) for line in lines if "# fmt: o" not in line).strip()


def _plain(line: str) -> str:
    return line.replace("  # fmt: skip", "")


def _assigned(name: str) -> str:
    """Return the statement that gives a name its value."""
    source = Path(queries.__file__).read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.get_source_segment(source, node) or ""
    message = f"queries.py assigns no {name}"
    raise LookupError(message)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE.name}")


if __name__ == "__main__":
    main()
