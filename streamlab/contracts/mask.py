"""Masks for personal data: the same value always gets the same mask, in one project.

A mask is made by BLAKE2b with a random key, which lies in the state folder and never
leaves it (keyed hashing, https://www.rfc-editor.org/rfc/rfc7693#section-2.9).
So equal values stay equal, in every column and sample of a project, and joins work;
and nobody without the key can try values out. Types stay, and so does the form that a
transform is likely to need: numbers and texts of digits keep their digits' number,
addresses of mail stay addresses. Masks hide values; they do not hide how often one
occurs, and of numbers with few digits not even that they are few: 7 may be told apart
from 8 by a person who knows how frequent both are.

| type | mask |
|---|---|
| text, categorical | ``masked-`` and 16 hexadecimal digits; an empty one stays |
| text that is an address | ``masked-…@masked-….example`` |
| text of digits, integers, decimals, floats | each digit another one, the rest stays |
| binary | as its text; ``masked-…`` where it is none |
| date, timestamp, time, duration | a random one: 1950 to 1999, within one day |
| boolean, enum | false, the first category: a mask could be guessed |
| struct, list, array | each value inside; lengths and nulls stay |

Nulls stay null, NaN and infinite numbers stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

import polars as pl

from streamlab.contracts.schema import Path, instantiated
from streamlab.errors import SchemaError, UsageError
from streamlab.settings import Settings, made_state_folder

KEY_FILE = "mask.key"
KEY_BYTES = 32
DIGEST_BYTES = 32
PRIVATE = 0o600

MARK = "masked-"
FIRST_DAY, DAYS = -7_305, 18_262
"""1950-01-01, counted from 1970-01-01, and the days up to the end of 1999."""

_DAY_S = 86_400
_PER_S = {"ms": 10**3, "us": 10**6, "ns": 10**9}
_DIGITS = re.compile(r"[-+0-9 ().,/]*[0-9][-+0-9 ().,/]*", re.ASCII)
_MOST_DIGITS = 70  # what one digest is good for
_MAIL = re.compile(r"[^@\s]+@([^@\s]+\.[^@\s]+)")


class Masker:
    """Masks values with one key.

    Args:
        key: A secret; whoever has it can find out whether a mask is of a value.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._domains: dict[str, str] = {}

    def __repr__(self) -> str:
        """Say nothing of the key."""
        return "Masker()"

    @classmethod
    def of_project(cls) -> Masker:
        """Return the masker of the project in whose folder we are.

        Its key is made when it is first needed.

        Raises:
            UsageError: The key cannot be read or written.
        """
        return cls(_project_key(Settings.load().state_folder / KEY_FILE))

    def frame(self, frame: pl.DataFrame, paths: Iterable[Path]) -> pl.DataFrame:
        """Return the frame with what the paths lead to masked, types unchanged.

        Args:
            frame: Columns of any types that a schema can have.
            paths: Ways to personal data, each beginning with a column's name.

        Raises:
            SchemaError: A type has no mask.
        """
        inside: dict[str, list[Path]] = {}
        for column, *path in paths:
            inside.setdefault(column, []).append(tuple(path))
        return frame.with_columns(
            self._masked(
                pl.col(column), frame[column], frame.schema[column], within
            ).alias(column)
            for column, within in inside.items()
        )

    def binary(self, values: pl.Series) -> pl.Series:
        """Return Binary values masked, each as the text that it is."""
        column = values.to_frame("value")
        return self.frame(column, [("value",)])["value"].alias(values.name)

    def text(self, value: str) -> str:
        """Return the mask of a text."""
        if not value:
            return value
        if _DIGITS.fullmatch(value) and sum(map(str.isdigit, value)) <= _MOST_DIGITS:
            return self._digits(value, value)
        mail = _MAIL.fullmatch(value) if "@" in value else None
        return self._name(value) + (self._domain(mail[1]) if mail else "")

    def _masked(
        self,
        value: pl.Expr,
        within: pl.Series,
        dtype: pl.DataType,
        paths: Collection[Path],
    ) -> pl.Expr:
        """Return the masked form of an expression.

        Args:
            value: The value in its place.
            within: All values there are, lists taken apart.
            dtype: Their type.
            paths: What is personal, counted from here; ``()`` is all of it.
        """
        if isinstance(dtype, pl.Array):
            lists = pl.List(dtype.inner)
            masked = self._masked(value.arr.to_list(), within.cast(lists), lists, paths)
            return masked.cast(dtype)
        if isinstance(dtype, pl.List):
            inner = instantiated(dtype.inner)
            items = within.explode().cast(inner)
            return value.list.eval(self._masked(pl.element(), items, inner, paths))
        if isinstance(dtype, pl.Struct):
            return self._masked_struct(value, within, dtype, paths)
        return self._masked_leaf(value, within, dtype)

    def _masked_struct(
        self,
        value: pl.Expr,
        within: pl.Series,
        dtype: pl.Struct,
        paths: Collection[Path],
    ) -> pl.Expr:
        fields = []
        for part in dtype.fields:
            field, name = value.struct.field(part.name), part.name
            inner = [path[1:] for path in paths if path[:1] == (name,)]
            inner += [()] if () in paths else []
            if inner:
                kind = instantiated(part.dtype)
                field = self._masked(field, within.struct.field(name), kind, inner)
            fields.append(field.alias(name))
        return pl.when(value.is_not_null()).then(pl.struct(fields)) if fields else value

    def _masked_leaf(
        self, value: pl.Expr, within: pl.Series, dtype: pl.DataType
    ) -> pl.Expr:
        constant = _constant(dtype)
        if constant is not None:
            return pl.when(value.is_not_null()).then(pl.lit(constant, dtype))
        if isinstance(dtype, pl.Null):
            return value
        if isinstance(dtype, pl.Categorical):
            text = self._masked_leaf(
                value.cast(pl.String), within.cast(pl.String), pl.String()
            )
            return text.cast(dtype)
        mask = self._mask_of(dtype)
        known = within.unique().drop_nulls()
        plain = known.to_physical() if dtype.is_temporal() else known
        masks = pl.Series([mask(each) for each in plain], dtype=plain.dtype)
        return value.replace_strict(
            known, masks.cast(dtype), default=None, return_dtype=dtype
        )

    def _mask_of(self, dtype: pl.DataType) -> Callable[[Any], Any]:
        """Return the function from a value of a type to its mask."""
        if dtype.is_integer():
            least, most = _range(dtype)
            return lambda number: self._integer(number, least, most)
        if isinstance(dtype, pl.Datetime | pl.Duration):
            return self._moment_of(dtype)
        masks: dict[type[pl.DataType], Callable[[Any], Any]] = {
            pl.String: self.text,
            pl.Binary: self._bytes,
            pl.Float32: self._float,
            pl.Float64: self._float,
            pl.Decimal: self._decimal,
            pl.Date: lambda day: FIRST_DAY + self._number(f"date {day}") % DAYS,
            pl.Time: lambda ns: self._number(f"time {ns}") % _DAY_S * _PER_S["ns"],
        }
        if type(dtype) not in masks:
            raise SchemaError(
                f"{dtype} has no mask", hint="give the personal column another type"
            )
        return masks[type(dtype)]

    def _moment_of(self, dtype: pl.Datetime | pl.Duration) -> Callable[[int], int]:
        unit = _PER_S[dtype.time_unit]
        to_ns = _PER_S["ns"] // unit
        if isinstance(dtype, pl.Duration):
            return lambda n: self._number(f"duration {n * to_ns}") % _DAY_S * unit
        return lambda n: (
            (FIRST_DAY * _DAY_S + self._number(f"moment {n * to_ns}") % (DAYS * _DAY_S))
            * unit
        )

    def _integer(self, number: int, least: int, most: int) -> int:
        masked = int(self._digits(str(number), str(number)))
        if least <= masked <= most:
            return masked
        # As many digits, but too large for the type: folded into what it holds.
        first = int("1" + "0" * (len(str(abs(number))) - 1))
        room = (most if number > 0 else -least) - first + 1
        folded = first + abs(masked) % room
        return folded if number > 0 else -folded

    def _float(self, number: float) -> float:
        if not math.isfinite(number):
            return number
        mantissa, e, exponent = repr(number).partition("e")
        return float(self._digits(mantissa, repr(number)) + e + exponent)

    def _decimal(self, number: Decimal) -> Decimal:
        return Decimal(self._digits(f"{number:f}", f"{number:f}"))

    def _bytes(self, value: bytes) -> bytes:
        try:
            return self.text(value.decode()).encode()
        except UnicodeDecodeError:
            return f"{MARK}{self._digest(value)[:8].hex()}".encode()

    def _digits(self, text: str, whole: str) -> str:
        """Return a text with other digits; a first 0 stays, and none is added.

        Args:
            text: The text.
            whole: What the digits depend on.
        """
        count = sum(map(str.isdigit, text))
        others = iter(f"{self._number(whole):0{_MOST_DIGITS}d}"[-_MOST_DIGITS:])
        first = next(char for char in text if char.isdigit())
        masked = [next(others) if char.isdigit() else char for char in text]
        if count > 1:
            at = text.index(first)
            masked[at] = "0" if first == "0" else str(1 + int(next(others)) % 9)
        return "".join(masked)

    def _domain(self, domain: str) -> str:
        if domain not in self._domains:  # few, as a rule
            digest = self._digest(f"@{domain}")[:4]
            self._domains[domain] = f"@{MARK}{digest.hex()}.example"
        return self._domains[domain]

    def _name(self, text: str) -> str:
        return MARK + self._digest(text)[:8].hex()

    def _number(self, text: str) -> int:
        return int.from_bytes(self._digest(text))

    def _digest(self, value: str | bytes) -> bytes:
        plain = value.encode() if isinstance(value, str) else value
        return hashlib.blake2b(plain, key=self._key, digest_size=DIGEST_BYTES).digest()


def _constant(dtype: pl.DataType) -> object:
    """Return the one mask of a type with so few values that others could be guessed."""
    if isinstance(dtype, pl.Enum):
        return next(iter(dtype.categories), None)
    return False if dtype == pl.Boolean else None


def _range(dtype: pl.DataType) -> tuple[int, int]:
    kind, _, bits = str(dtype).partition("Int")
    values: int = 2 ** int(bits)
    return (0, values - 1) if kind else (-values // 2, values // 2 - 1)


def _project_key(path: FilePath) -> bytes:
    """Return the key in a file; the file is made if it is not there."""
    try:
        made_state_folder(path.parent)
        if not path.exists():
            _write_once(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        message = f"the key of the masks, {path}, cannot be used: {error.strerror}"
        raise UsageError(message, hint="masks need a state folder") from error
    if len(key) != KEY_BYTES:
        message = f"{path} is not a key of masks: it has {len(key)} bytes"
        raise UsageError(message, hint="remove it; masks will be others from then on")
    return key


def _write_once(path: FilePath, key: bytes) -> None:
    """Write a key that nobody else reads, unless another process was quicker."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(partial, "xb", opener=_private) as file:
            file.write(key)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(partial)
    finally:
        partial.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)
