"""Forms of one word that its stem does not join: went and go, children and child, colour and color.

They are joined when something is asked for, never in what is stored: so the list may grow without any migration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

from .words import stems

_FILE = "word_forms.txt"


def forms_of(term: str) -> tuple[str, ...]:
    """The stems of all forms of a word, the same for each of them; of most words only its own.

    >>> forms_of("bought"), forms_of("buy"), forms_of("piano")
    (('buy', 'bought'), ('buy', 'bought'), ('piano',))
    """
    return _forms().get(term, (term,))


@cache
def _forms() -> Mapping[str, tuple[str, ...]]:
    text = (files(__package__) / _FILE).read_text(encoding="utf-8")
    return _joined(stems(line) for line in text.splitlines() if not line.startswith("#"))


def _joined(lines: Iterable[list[str]]) -> dict[str, tuple[str, ...]]:
    """The forms by form; lines that share one are one word."""
    forms: dict[str, tuple[str, ...]] = {}
    for line in lines:
        together = tuple(dict.fromkeys(form for one in line for form in forms.get(one, (one,))))
        forms |= dict.fromkeys(together, together)
    return forms
