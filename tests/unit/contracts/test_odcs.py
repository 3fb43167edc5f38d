"""Contract files: what is read, what goes round, and what a mistake is told."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from streamlab.contracts import Field, Schema, odcs
from streamlab.contracts.physical import PLAIN
from streamlab.errors import SchemaError, UnknownName

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: 53581432
version: 1.0.0
status: active
team: {members: [{username: ceastwood}]}
slaProperties: [{property: latency, value: 4, unit: d}]
schema:
  - name: flights
    physicalType: topic
    quality: [{metric: rowCount, mustBeGreaterThan: 0}]
    properties:
      - name: carrier
        logicalType: string
        physicalType: varchar(2)
        required: true
        classification: public
        examples: [UA, 9E]
      - name: delay
        physicalName: arr_delay
        logicalType: integer
        physicalType: int16
        required: false
      - {name: time_hour, logicalType: timestamp}
      - name: stops
        logicalType: array
        items:
          logicalType: object
          properties:
            - {name: airport, logicalType: string}
            - {name: price, physicalType: "decimal(10, 2)"}
"""


def load(folder: Path, text: str, name: str | None = None) -> Schema:
    path = folder / "contract.yaml"
    path.write_text(text, encoding="utf-8")
    return odcs.load(path, name)


def mistake(folder: Path, text: str) -> SchemaError:
    with pytest.raises(SchemaError) as refused:
        load(folder, text)
    return refused.value


def one_property(keys: str) -> str:
    """A contract of one property, on line 4, in YAML's flow style."""
    return f"schema:\n  - name: flights\n    properties:\n      - {{{keys}}}\n"


def test_schema_part_of_a_contract_is_read(tmp_path: Path) -> None:
    """Names, exact types and required are read; other parts are accepted unread."""
    stop = pl.Struct({"airport": pl.String, "price": pl.Decimal(10, 2)})

    assert load(tmp_path, CONTRACT) == Schema(
        (
            Field("carrier", pl.String(), required=True),
            Field("arr_delay", pl.Int16()),
            Field("time_hour", pl.Datetime("us", "UTC")),
            Field("stops", pl.List(stop)),
        ),
        "flights",
    )


def test_every_type_goes_round(tmp_path: Path) -> None:
    """Saved and loaded, a schema is the same: names, types, required, order."""
    fields = [Field(name, dtype) for name, dtype in PLAIN.items()]
    fields += [
        Field("no", pl.Datetime("ms", "Europe/Berlin"), required=True),
        Field("1", pl.Datetime("ns")),
        Field("ä: b", pl.Decimal(38, 0)),
        Field("enum", pl.Enum(["a", 'quote" ]', "ü"])),
        Field(
            "nested", pl.List(pl.Struct({"x": pl.List(pl.Int8), "y": pl.Struct({})}))
        ),
    ]
    schema = Schema(tuple(fields), "flüge")
    path = tmp_path / "contract.yaml"

    odcs.save(schema, path)

    assert odcs.load(path) == schema
    assert [file.name for file in tmp_path.iterdir()] == ["contract.yaml"]


def test_type_without_a_name_is_not_saved(tmp_path: Path) -> None:
    """The message names the column, and no half-written file stays."""
    with pytest.raises(SchemaError, match=r"column 'a\[\]': Duration"):
        odcs.save(Schema.of({"a": pl.List(pl.Duration("us"))}), tmp_path / "x.yaml")

    assert list(tmp_path.iterdir()) == []


def test_one_of_several_schema_objects_is_chosen_by_name(tmp_path: Path) -> None:
    """Without a name the choice is refused; with a wrong one, near names are given."""
    second = CONTRACT + "  - {name: planes, properties: [{name: a, logicalType: date}]}"

    assert load(tmp_path, second, "planes") == Schema.of({"a": pl.Date()}, "planes")
    assert "has 2 schema objects: flights, planes" in mistake(tmp_path, second).message
    with pytest.raises(UnknownName, match="did you mean 'planes'"):
        load(tmp_path, second, "plane")


@pytest.mark.parametrize(
    ("keys", "message", "hint"),
    [
        ("name: a, logicaltype: string", "unknown key 'logicaltype'", "'logicalType'"),
        ("name: a, logicalType: strnig", "unknown logicalType 'strnig'", "'string'"),
        ("name: a, physicalType: int61", "'int61' is no physical type", ""),
        ("name: a, physicalType: 'decimal(99, 2)'", "precision is 1 to 38", ""),
        ("name: a, physicalType: 'timestamp(us, Mars)'", "no such time zone", ""),
        (
            "name: a, physicalType: 'enum(a, b)'",
            'did you mean \'enum(["a", "b"])\'',
            "",
        ),
        ("name: a, logicalType: string, physicalType: int8", "is no string", "integer"),
        ("name: a, physicalType: varchar(18)", "has no type", "logicalType"),
        ("name: no, logicalType: date", "must be a text, not 'no'", '"no"'),
        ("name: a, logicalType: date, required: 1", "must be true or false", ""),
        ("name: a, name: b", "'name' is there twice", ""),
        ("logicalType: date", "has no 'name'", "name:"),
        ("name: a, logicalType: array", "has no 'items'", "items:"),
        ("name: a, logicalType: object", "has no 'properties'", "properties:"),
        (
            "name: a, logicalType: array, items: {logicalType: date, required: true}",
            "required is not checked inside of another property",
            "remove it",
        ),
    ],
)
def test_mistake_in_a_property_has_line_and_hint(
    tmp_path: Path, keys: str, message: str, hint: str
) -> None:
    """The error begins with file and line, and says what to do where it can."""
    error = mistake(tmp_path, one_property(keys))

    assert error.message.startswith(f"{tmp_path / 'contract.yaml'}:4: ")
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("[1]", ":1: the file must be a mapping, not a list"),
        ("kind: DataContract", ":1: the contract has no schema"),
        ("schema: flights", ":1: schema must be a list, not a single value"),
        ("schema: []", "the contract has 0 schema objects"),
        ("schema: [{name: a}]", ":1: schema[0] has no 'properties'"),
        ("schema: [{name: a, properties: []}]", "has no properties"),
        ("a: 1\nschema: [", ":2: not YAML"),
        ("a: \0", "not YAML"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("apiVersion: v2.2.2\ndataset: []", ":1: this is an ODCS v2.2.2 contract"),
        ("[" * 100_000, "nested too deeply"),
        ("a: " + "x" * 5_000_000, "more than 4 MiB"),
    ],
)
def test_file_that_is_no_contract_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    """Each is one error of ours, and none is a traceback of the parser."""
    assert message in mistake(tmp_path, text).message


def test_two_properties_of_one_name_are_refused(tmp_path: Path) -> None:
    """The line is that of the second."""
    text = one_property("name: a, logicalType: date")
    text += "      - {name: a, logicalType: time}\n"

    assert ":5: there are two properties 'a'" in mistake(tmp_path, text).message


def test_alias_bomb_is_refused(tmp_path: Path) -> None:
    """Nine lines that stand for a billion values are stopped at the first alias."""
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        bomb.append(f"a{level}: &a{level} [{aliases}]")

    assert (
        ":2: not YAML: aliases are not read"
        in mistake(tmp_path, "\n".join(bomb)).message
    )


def test_tags_are_not_obeyed(tmp_path: Path) -> None:
    """A tag that would run code is text nobody reads."""
    ran = tmp_path / "ran"
    tag = f"!!python/object/apply:os.mkdir [{ran}]"

    load(tmp_path, f"team: {tag}\n{one_property('name: a, logicalType: date')}")

    assert not ran.exists()


def test_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(SchemaError, match=r"none\.yaml cannot be read"):
        odcs.load(tmp_path / "none.yaml")


def test_example_of_the_documentation_loads(tmp_path: Path) -> None:
    """The contract in docs/formats.md is one."""
    docs = Path(__file__).parents[3] / "docs" / "formats.md"
    example = docs.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]

    schema = load(tmp_path, example)

    assert schema.required == ("carrier",)
    assert schema.dtypes["arr_delay"] == pl.Int16()


PERSONAL = """\
apiVersion: v3.1.0
schema:
  - name: people
    tags: [pii]
    properties:
      - {name: id, logicalType: integer, classification: public}
      - {name: email, logicalType: string, classification: restricted}
      - {name: phone, logicalType: string, tags: [crm, PII]}
      - {name: note, logicalType: string, tags: [crm]}
      - name: address
        logicalType: object
        properties:
          - {name: street, logicalType: string, tags: [personal]}
          - {name: country, logicalType: string}
      - name: orders
        logicalType: array
        items:
          logicalType: object
          properties:
            - {name: card, logicalType: string, classification: confidential}
            - {name: price, logicalType: number}
      - name: nicknames
        logicalType: array
        items: {logicalType: string, tags: [sensitive]}
"""


def test_a_classification_or_a_tag_marks_personal_data(tmp_path):
    """Whatever is classified and not public is personal, also inside of others."""
    assert load(tmp_path, PERSONAL).personal == (
        ("email",),
        ("phone",),
        ("address", "street"),
        ("orders", "card"),
        ("nicknames",),
    )


def test_the_marks_go_round(tmp_path):
    """A saved schema has its personal fields when it is loaded again."""
    schema = load(tmp_path, PERSONAL)
    odcs.save(schema, tmp_path / "saved.yaml")
    assert odcs.load(tmp_path / "saved.yaml") == schema


def test_a_classification_that_is_no_text_is_pointed_at(tmp_path):
    """A mistake in what protects people is not passed over."""
    text = PERSONAL.replace("classification: restricted", "classification: 3")
    assert ":7:" in mistake(tmp_path, text).message
