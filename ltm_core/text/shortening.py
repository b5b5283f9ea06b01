"""Texts made shorter where they may be broken off: behind a line or a sentence, else behind a word."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_SENTENCES = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
_WORDS = re.compile(r"\s+")


def shortened(text: str, most: int, count: Callable[[str], int]) -> str:
    """The beginning of `text` that counts at most `most`: whole sentences, or words if not one fits; else nothing.

    >>> shortened("Ann sails. She has a dog. It barks.", 26, len)
    'Ann sails. She has a dog.'
    """
    if count(text) <= most:
        return text
    for boundary in (_SENTENCES, _WORDS):
        ends = [match.start() for match in boundary.finditer(text) if match.start()]
        found = _longest(text, ends, most, count)
        if found:
            return found
    return ""


def _longest(text: str, ends: Sequence[int], most: int, count: Callable[[str], int]) -> str:
    """The longest beginning of `text` up to one of `ends` that fits, by halving."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[: ends[middle - 1]]) <= most:
            low = middle
        else:
            high = middle - 1
    return text[: ends[low - 1]].rstrip() if low else ""
