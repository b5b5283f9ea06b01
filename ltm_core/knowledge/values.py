"""Values compared and combined as people mean them: equal in normal form, merged by path, alike in words."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import chain
from typing import Any

from ..text.dates import calendar_form
from ..text.words import stems


def merged(old: Any, new: Any) -> Any:
    """`new` laid over `old`: objects by path, where null removes; lists united; anything else replaced."""
    if isinstance(new, Mapping):
        laid = dict(old) if isinstance(old, Mapping) else {}
        for name, value in new.items():
            if value is None:
                laid.pop(name, None)
            else:
                laid[name] = merged(laid.get(name), value)
        return laid
    return union(old, new) if isinstance(old, list) and isinstance(new, list) else new


def union(old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    """`old` and what of `new` it does not hold yet, in order."""
    united = list(old)
    for item in new:
        if item is not None and not any(same(item, known) for known in united):
            united.append(item)
    return united


def without(stored: Any, taken: Any) -> Any:
    """What is left of `stored` when `taken` is taken back: None if nothing, `stored` if it does not hold `taken`."""
    if taken is None or taken == "":
        return None
    if isinstance(stored, Mapping) and isinstance(taken, Mapping):
        left = {name: without(value, taken[name]) if name in taken else value for name, value in stored.items()}
        return {name: value for name, value in left.items() if value is not None} or None
    if isinstance(stored, list):
        gone = taken if isinstance(taken, list) else [taken]
        return [item for item in stored if not any(same(item, other) for other in gone)] or None
    return None if same(stored, taken) or _overlap(stored, taken) else stored


def _overlap(stored: Any, taken: Any) -> bool:
    """Whether one text holds all words of the other, as 'Google' and 'Google Inc.' do."""
    if isinstance(stored, dict | list) or isinstance(taken, dict | list):
        return False
    one, other = set(gist(plain(stored))), set(gist(plain(taken)))
    return bool(one and other) and (one <= other or other <= one)


_ENDS = " .,;:!?…"
_DIGITS = re.compile(r"\+?[\d ()/-]{7,}")  # a phone or other long number, which people group as they like
_ARTICLE = re.compile(r"(?:an?|the)\s+")


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in normal form."""
    return bool(_normal(one) == _normal(other))


def _normal(value: Any) -> Any:
    """The form in which equal values are equal: case, spaces, closing punctuation and a leading article aside.

    A date is one however it is written, and so is a long number however it is grouped.
    """
    if isinstance(value, str):
        return _normal_text(" ".join(unicodedata.normalize("NFKC", value).casefold().split()))
    if isinstance(value, Mapping):
        return {name: _normal(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_normal(inner) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value).removesuffix(".0")
    return value


def _normal_text(text: str) -> str:
    bare = text.rstrip(_ENDS)
    if not bare[:1].isalnum() and bare[:1] not in ("+", "("):
        return bare or text
    if date := calendar_form(bare):
        return date
    if _DIGITS.fullmatch(bare):
        return re.sub(r"[ ()/-]", "", bare)
    return _ARTICLE.sub("", bare, count=1)


def gist(text: str) -> tuple[str, ...]:
    """The words of `text`, stemmed; a word with signs in it (C++, 3.5) stays whole, so that C++ and C# differ."""
    return tuple(chain.from_iterable(map(_stems, text.casefold().replace("_", " ").split())))


@lru_cache(maxsize=65536)
def _stems(word: str) -> tuple[str, ...]:
    bare = word.strip(".,;:!?…\"'()")
    return tuple(stem for stem in (stems(bare) if bare.isalpha() else [bare]) if stem not in _SLIGHT)


def near(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two texts, as `gist` gives them, are the same but for the spelling of one word in six at most.

    A number, a short word, or a word more or less is no slip: those are what facts differ by.

    >>> near(gist("learn to organise my work better"), gist("learn to organize my work better"))
    True
    >>> near(gist("run 5 km every day"), gist("run 6 km every day"))
    False
    """
    if one == other:
        return True
    only, there = [word for word in one if word not in other], [word for word in other if word not in one]
    if len(only) != len(there) or 6 * len(only) > len(one):
        return False
    return all(map(_misspelt, only, there))


def _misspelt(one: str, other: str) -> bool:
    long = min(len(one), len(other)) >= MIN_MISSPELT
    words = one.isalpha() and other.isalpha() and one[0] == other[0]
    return long and words and SequenceMatcher(None, one, other).ratio() >= MISSPELT


MIN_MISSPELT, MISSPELT = 5, 0.8
_SLIGHT = frozenset({"", "a", "an", "the"})


def plain(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def merge_patch(value: Any, patch: Any) -> Any:
    """`value` changed by a JSON merge patch: what the patch names is replaced, None removes (RFC 7396).

    >>> merge_patch({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'d': 3, 'c': 4}}
    """
    if not isinstance(patch, Mapping):
        return patch
    kept = {name: inner for name, inner in value.items() if name not in patch} if isinstance(value, Mapping) else {}
    known = value if isinstance(value, Mapping) else {}
    changed = {name: merge_patch(known.get(name), inner) for name, inner in patch.items() if inner is not None}
    return kept | changed
