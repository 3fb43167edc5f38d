"""Nodes of a serialized plan: what is known of the rows that each gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from streamlab.transforms import rowwise
from streamlab.transforms.expressions import (
    Json,
    LooksAcross,
    NotShown,
    check_row_wise,
    holds,
    holds_key,
    only,
)


@dataclass(frozen=True, slots=True)
class Flow:
    """What is known of the rows that a part of the plan gives."""

    disorder: str = ""
    at_most_one: bool = True


class Walk:
    """Goes through the nodes, from the result down to the stream."""

    def __init__(self, stream: str, table_keys: Mapping[str, frozenset[str]]) -> None:
        """Take the path of the stream, and the key columns of each table's path."""
        self._stream = stream
        self._table_keys = table_keys

    def result(self, value: Json) -> Flow:
        """Return what is known of the rows of a whole plan; raises as ``node`` does."""
        if not _reads(value, self._stream):
            raise LooksAcross("it gives rows of no event")
        return self.node(value)

    def node(self, value: Json) -> Flow:
        """Return what is known of the rows of a node.

        Raises:
            LooksAcross: It looks across rows.
            NotShown: It may.
        """
        name, content = only(value)
        if name in rowwise.ACROSS_NODES:
            raise LooksAcross(f"it uses {rowwise.ACROSS_NODES[name]}")
        known = {
            "Scan": self._scan,
            "DataFrameScan": lambda _: Flow(),
            "Filter": self._filter,
            "Select": self._select,
            "HStack": self._with_columns,
            "MapFunction": self._mapped,
            "Sort": self._sort,
            "Union": self._union,
            "Join": self._join,
        }
        if name not in known:
            raise NotShown(f"{name} is not known to be row-wise")
        return known[name](content)

    def _scan(self, content: Json) -> Flow:
        arguments = content["unified_scan_args"]
        if arguments["row_index"]:
            raise LooksAcross(f"it uses {rowwise.ACROSS_NODES['RowIndex']}")
        if arguments["pre_slice"]:
            raise LooksAcross(f"it uses {rowwise.ACROSS_NODES['Slice']}")
        return Flow()

    def _filter(self, content: Json) -> Flow:
        check_row_wise(content["predicate"])
        return self.node(content["input"])

    def _select(self, content: Json) -> Flow:
        expressions = content["expr"]
        for expression in expressions:
            check_row_wise(expression)
        columns = [holds_key(one, "Column") for one in expressions]
        selected = [holds_key(one, "Selector") for one in expressions]
        # A select of constants alone gives one row, whatever the number of events.
        if not any(columns) and not all(selected):
            raise NotShown("select() may hold nothing but constants")
        return self.node(content["input"])

    def _with_columns(self, content: Json) -> Flow:
        for expression in content["exprs"]:
            check_row_wise(expression)
        return self.node(content["input"])

    def _mapped(self, content: Json) -> Flow:
        name, arguments = only(content["function"])
        if name in rowwise.ACROSS_NODES:
            raise LooksAcross(f"it uses {rowwise.ACROSS_NODES[name]}")
        if name not in rowwise.MAPPED_NODES:
            raise NotShown(f"{name} is not known to be row-wise")
        flow = self.node(content["input"])
        if name == "FillNan":
            check_row_wise(arguments)
        if name == "Explode":
            return replace(flow, at_most_one=False)
        if name == "Unpivot":
            why = "unpivot() puts the columns of a batch one after another"
            return Flow(disorder=why, at_most_one=False)
        return flow

    def _sort(self, content: Json) -> Flow:
        if content["slice"] or content["sort_options"]["limit"]:
            raise LooksAcross(f"it uses {rowwise.ACROSS_NODES['Slice']}")
        flow = self.node(content["input"])
        return replace(flow, disorder="sort() orders each batch by itself")

    def _union(self, content: Json) -> Flow:
        for one in content["inputs"]:
            if not _reads(one, self._stream):
                raise NotShown("concat() adds rows that are of no event")
            self.node(one)
        why = "concat() puts one part of a batch behind the other"
        return Flow(disorder=why, at_most_one=False)

    def _join(self, content: Json) -> Flow:
        join = _Join.of(content, self._stream)
        flow = self.node(join.events)
        self._table_side(join.table)
        join.check()
        at_most_one = flow.at_most_one and (
            join.how in {"Semi", "Anti"}
            or join.meets_one
            or join.on_key(self._key(join.table))
        )
        disorder = flow.disorder or join.disorder
        return Flow(disorder=disorder, at_most_one=at_most_one)

    def _table_side(self, value: Json) -> None:
        """Check that a table is used as it is, or made of row-wise steps."""
        name, content = only(value)
        if name == "Distinct" and content["options"]["keep_strategy"] != "Any":
            self._table_side(content["input"])
            return
        try:
            self.node(value)
        except LooksAcross as error:
            raise NotShown(f"the table is computed: {error}") from None

    def _key(self, value: Json) -> frozenset[str]:
        """Return the columns that name a row of a table; none if that is not known."""
        name, content = only(value)
        if name == "Scan":
            path = content["sources"]["Paths"][0]["inner"]
            return self._table_keys.get(path, frozenset())
        if name == "Distinct":
            subset = content["options"]["subset"] or ()
            return frozenset(_column(one) for one in subset) - {""}
        plain = name == "Select" and all(_column(one) for one in content["expr"])
        if name in {"Filter", "Sort"} or plain:
            return self._key(content["input"])
        return frozenset()


@dataclass(frozen=True, slots=True)
class _Join:
    """A join of events with a table.

    Attributes:
        how: Polars' name of the kind of join.
        side: The side of the events, ``Left`` or ``Right``.
        events: The plan of the events.
        table: The plan of the table.
        condition: What it joins on.
        arguments: How, validation, order.
    """

    how: str
    side: str
    events: Json
    table: Json
    condition: Json
    arguments: Json

    @classmethod
    def of(cls, content: Json, stream: str) -> _Join:
        """Return the join of a node; ``stream`` tells the events from the table."""
        left, right = content["input_left"], content["input_right"]
        if _reads(left, stream) and _reads(right, stream):
            raise LooksAcross("it joins the events with themselves")
        arguments = content["options"]["args"]
        how, _ = only(arguments["how"])
        condition = content["condition"]
        if _reads(left, stream):
            return cls(how, "Left", left, right, condition, arguments)
        return cls(how, "Right", right, left, condition, arguments)

    def check(self) -> None:
        """Check that each event meets the table by itself.

        Raises:
            LooksAcross: It does not.
            NotShown: It may not.
        """
        if self.how == "AsOf":
            raise LooksAcross("join_asof() needs the whole stream sorted")
        of_events = {"Semi", "Anti", self.side} if self.side == "Left" else {self.side}
        if self.how not in of_events | {"Inner", "Cross"}:
            raise LooksAcross(f"a {self.how.lower()} join gives rows of no event")
        once = self.arguments["validation"] in {"ManyToMany", self._to_one}
        if not once or self.arguments["slice"]:
            raise LooksAcross("validate= compares the events of a batch")
        for expression in self._columns("left_on", "right_on"):
            check_row_wise(expression)
        _, condition = only(self.condition)
        for predicate in condition.get("predicates", ()):
            check_row_wise(predicate)

    @property
    def _to_one(self) -> str:
        return "ManyToOne" if self.side == "Left" else "OneToMany"

    @property
    def meets_one(self) -> bool:
        """Return whether polars itself checks that no key of the table repeats."""
        return bool(self.arguments["validation"] == self._to_one)

    @property
    def disorder(self) -> str:
        """Return why rows may come in another order, or an empty text."""
        if self.arguments["maintain_order"].startswith(self.side):
            return ""
        return (
            f"a {self.how.lower()} join may reorder rows. Write join(…, "
            f'maintain_order="{self.side.lower()}")'
        )

    def on_key(self, key: frozenset[str]) -> bool:
        """Return whether the columns that name a row of the table are all joined."""
        joined = {_column(one) for one in self._columns("right_on", "left_on")}
        return bool(key) and key <= joined

    def _columns(self, if_left: str, if_right: str) -> list[Json]:
        kind, condition = only(self.condition)
        if kind != "Equi":
            return []
        return list(condition[if_left if self.side == "Left" else if_right])


def _reads(value: Json, path: str) -> bool:
    return holds(value, frozenset({path}))


def _column(expression: Json) -> str:
    """Return the name of a plain column, else an empty text."""
    name, content = only(expression)
    return content if name == "Column" and isinstance(content, str) else ""
