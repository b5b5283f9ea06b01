"""What a model wrote, in the words of the table: one name for an attribute, one word for an item and for a value.

Models name the same thing differently from turn to turn (`city`, `currentLocation`, `location`); facts that are named
differently can neither be known as repeated nor be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..model import slug
from .attributes import Attribute, attribute, attributes
from .values import same

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOW = re.compile(r"^(?:current|new|latest|present)_(?=.)")  # which of several times: facts are about now
_ARTICLE = re.compile(r"an?\s+|the\s+", re.IGNORECASE)
_YES, _NO = frozenset({"yes", "true"}), frozenset({"no", "false", "none"})


@dataclass(frozen=True, slots=True)
class Meant:
    """An attribute, and what its name said besides: `favorite_color` has an item in it, `dislikes` a value."""

    name: str
    item: str | None = None
    value: str | None = None


def snake_case(written: str) -> str:
    """A name in one form: `timeZone`, `Time zone` and `time-zone` are `time_zone`."""
    return re.sub(r"\W+", "_", slug(_HUMP.sub("_", written.strip()))).strip("_")


def attribute_meant(name: str) -> Meant:
    """The attribute of the table that `name`, in snake case, stands for; `name` itself where it has no such row.

    >>> attribute_meant("job_title").name, attribute_meant("allergies").name, attribute_meant("shoe_size").name
    ('profession', 'allergy', 'shoe_size')
    >>> attribute_meant("favourite_colour")
    Meant(name='favorite', item='colour', value=None)
    """
    name = _NOW.sub("", name)
    for form in _singulars(name):
        if form in _by_name():
            return _by_name()[form]
    head, _, rest = name.partition("_")
    row = attributes().get(_by_name().get(head, Meant(name)).name)
    if rest and row is not None and _names_a_kind(row):
        return Meant(row.name, item=rest)
    return Meant(name)


def item_meant(row: Attribute, item: str) -> str:
    """The word of the table for `item`, which stays as it is where the table has none."""
    return _word_for(row.items, item) or item


def value_meant(row: Attribute, item: str | None, value: Any) -> Any:
    """The word of the table for `value`, without what the attribute's own sentence says around it."""
    word = _word(value)
    if meant := _word_for(row.means, word):
        return meant
    if item is not None and row.many and (word in _YES or same(value, item)):
        return _affirmed(row, item, value)
    return _bare(row, value) if isinstance(value, str) else value


def denies(row: Attribute, value: Any) -> bool:
    """Whether `value` says that there is no such thing: an allergy that is "no" is none."""
    return row.many and not row.means and not _names_a_kind(row) and _word(value) in _NO


def person_meant(about: str) -> str:
    """One word for a person that has several: `mum` is `mother`."""
    return item_meant(attribute("relation"), about)


def _affirmed(row: Attribute, item: str, value: Any) -> Any:
    """`yes` where there is nothing else to say of an item, the item where it is all that is said."""
    if "{value}" not in row.says:
        return "yes"
    return value if "{item}" in row.says or _word(value) not in _YES or row.type == "relationship" else item


def _bare(row: Attribute, value: str) -> str:
    before, _, behind = row.says.replace("{a_value}", "{value}").partition("{value}")
    text = value.casefold()
    while behind and not text.endswith(behind.casefold()):
        behind = behind.rpartition(" ")[0]  # "29 years" says the beginning of " years old"
    begin = len(before) if before and text.startswith(before.casefold()) else 0
    told = value[begin : len(value) - len(behind)]
    return (_ARTICLE.sub("", told, count=1) if begin else told).strip() or value


def _names_a_kind(row: Attribute) -> bool:
    """Whether the item is a category that the value fills, as `color` is for a favorite."""
    return row.type == "preference" and not row.means and "{item}" in row.says and "{value}" in row.says


def _singulars(name: str) -> tuple[str, ...]:
    stem = name.removesuffix("s")
    return (name, stem, f"{stem.removesuffix('ie')}y") if name.endswith("s") else (name,)


@cache
def _by_name() -> Mapping[str, Meant]:
    rows = attributes().values()
    found = {word: Meant(row.name, value=value) for row in rows for value, words in row.means.items() for word in words}
    found |= {value: Meant(row.name, value=value) for row in rows for value in row.means}
    found |= {name: Meant(row.name) for row in rows for name in row.also}
    return found | {row.name: Meant(row.name) for row in rows}


def _word_for(table: Mapping[str, tuple[str, ...]], written: str) -> str | None:
    word = _spaced(written)
    return next((said for said, words in table.items() if word == said or word in words), None)


def _spaced(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").split())


def _word(value: Any) -> str:
    return _spaced(str(value)) if isinstance(value, str | bool) else ""
