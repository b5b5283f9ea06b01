"""Columns as each database has them. Text compares character by character everywhere; times are UTC."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ARRAY,
    REAL,
    TIMESTAMP,
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Dialect,
    Double,
    LargeBinary,
    Text,
    TypeDecorator,
    func,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

from ...model import in_utc
from ...vectors import pack_floats, unpack
from ..kinds import Type

# PostgreSQL has no NUL in texts: it is written as two characters that begin with this one, and this one doubled alike.
_ESCAPE = "\x1a"
_BOTH = re.compile("[\0\x1a]")
_BACK = re.compile("\x1a([0E])")
_ESCAPES = {"\0": f"{_ESCAPE}0", _ESCAPE: f"{_ESCAPE}E"}
_PLAIN = {"0": "\0", "E": _ESCAPE}
# The same inside JSON, where both are written as escapes.
_IN_JSON = re.compile(r"\\(?:u0000|u001a|.)")
_JSON_ESCAPES = {"\\u0000": "\\u001a0", "\\u001a": "\\u001aE"}
_JSON_BACK = re.compile(r"\\(?:u001a[0E]|.)")
_JSON_PLAIN = {"\\u001a0": "\\u0000", "\\u001aE": "\\u001a"}


def escaped(text: str) -> str:
    """`text` without NUL, in a way that can be taken back; prefixes stay prefixes.

    >>> escaped("plain"), unescaped(escaped("a\\0b")) == "a\\0b"
    ('plain', True)
    """
    return _BOTH.sub(lambda found: _ESCAPES[found[0]], text) if "\0" in text or _ESCAPE in text else text


def unescaped(text: str) -> str:
    """What `escaped` was given."""
    return _BACK.sub(lambda found: _PLAIN[found[1]], text) if _ESCAPE in text else text


def escaped_json(text: str) -> str:
    """A JSON text whose strings are `escaped`."""
    if "\\u00" not in text:
        return text
    return _IN_JSON.sub(lambda found: _JSON_ESCAPES.get(found[0], found[0]), text)


def unescaped_json(text: str) -> str:
    """What `escaped_json` was given."""
    return _JSON_BACK.sub(lambda found: _JSON_PLAIN.get(found[0], found[0]), text) if "\\u001a" in text else text


@lru_cache(maxsize=64)
def _spelled(utc: datetime) -> str:
    """The text of a time, of which a record, and a batch of them, mostly holds the same several times."""
    return utc.isoformat(timespec="microseconds")


class TimeAsText(TypeDecorator[datetime]):
    """UTC as text of fixed width with microseconds: readable, and in order when sorted as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """From Python to the database."""
        return None if value is None else _spelled(in_utc(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """From the database to Python."""
        return None if value is None else datetime.fromisoformat(value)


class TimeWithZone(TypeDecorator[datetime]):
    """A time that the database keeps with its zone, and the driver gives in some zone."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From Python to the database."""
        return None if value is None else in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database to Python."""
        return None if value is None else value.astimezone(UTC)


class TimeWithoutZone(TypeDecorator[datetime]):
    """A time that the database keeps without a zone: UTC."""

    impl = mysql.DATETIME(fsp=6)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From Python to the database."""
        return None if value is None else in_utc(value).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database to Python."""
        return None if value is None else value.replace(tzinfo=UTC)


class TextWithoutNul(TypeDecorator[str]):
    """Text in the order of its characters, for a database that cannot hold NUL."""

    impl = Text(collation="C")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """From Python to the database."""
        return None if value is None else escaped(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """From the database to Python."""
        return None if value is None else unescaped(value)


class VerbatimJson(TypeDecorator[str]):
    """A JSON text that comes back as it went in, in a column that the database knows as JSON.

    Not `jsonb`, which sorts names and writes 1e300 as a whole number. Needs an engine whose JSON functions leave texts
    as they are.
    """

    impl = postgresql.JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """From Python to the database."""
        return None if value is None else escaped_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """From the database to Python."""
        return None if value is None else unescaped_json(value)


class FloatArray(TypeDecorator[bytes]):
    """A packed vector as an array of numbers, which pgvector reads."""

    impl = ARRAY(REAL)
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> list[float] | None:
        """From Python to the database."""
        return None if value is None else unpack(value).tolist()

    def process_result_value(self, value: Sequence[float] | None, dialect: Dialect) -> bytes | None:
        """From the database to Python."""
        return None if value is None else pack_floats(array("f", value))


class BytesByHex(TypeDecorator[bytes]):
    """Bytes that travel as hexadecimal text: aiomysql 0.3.2 has lost how PyMySQL 2 spells bytes."""

    impl = mysql.LONGBLOB
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[bytes | None], str | None]:
        """From Python to the database."""
        return _hex

    def bind_expression(self, bindvalue: BindParameter[bytes]) -> ColumnElement[bytes]:
        """Where they are bytes again."""
        return func.unhex(bindvalue)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


_BINARY_TEXT = "utf8mb4_nopad_bin"


def _text(length: int | None = None) -> TypeEngine[Any]:
    """Text; of `length` characters at most where a database can index no other."""
    here: TypeEngine[Any]
    if length:
        here = mysql.VARCHAR(length, charset="utf8mb4", collation=_BINARY_TEXT)
    else:
        here = mysql.LONGTEXT(charset="utf8mb4", collation=_BINARY_TEXT)
    return Text().with_variant(TextWithoutNul(), "postgresql").with_variant(here, "mysql", "mariadb")


SQL_TYPES: Mapping[Type, TypeEngine[Any]] = MappingProxyType(
    {
        Type.TOKEN: _text(255),
        Type.TEXT: _text(),
        Type.INTEGER: BigInteger(),
        Type.REAL: Double(),
        Type.BOOLEAN: Boolean(),
        Type.TIME: TimeAsText()
        .with_variant(TimeWithZone(), "postgresql")
        .with_variant(TimeWithoutZone(), "mysql", "mariadb"),
        Type.JSON: Text()
        .with_variant(VerbatimJson(), "postgresql")
        .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation=_BINARY_TEXT), "mysql", "mariadb"),
        Type.VECTOR: LargeBinary()
        .with_variant(FloatArray(), "postgresql")
        .with_variant(BytesByHex(), "mysql", "mariadb"),
    }
)
