"""Small talk: texts that nothing could be recalled for, told by the words that they are made of."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from os.path import commonprefix

from .words import STOP_WORDS, terms, words

_LISTS = tomllib.loads((files(__package__) / "small_talk.toml").read_text(encoding="utf-8"))
_ALONE, _TOGETHER, _BESIDE, _MISSPELLED = (
    frozenset(_LISTS[name].split()) for name in ("alone", "together", "beside", "misspelled")
)
_PHRASES = re.compile(rf"\b(?:{'|'.join(_LISTS['phrases'])})(?!\w)")

# Laughter, humming and the like, however long they are.
_SOUND = re.compile(r"[ae]?(?:[ahj]{3,}|(?:h[aeiou]+){2,}h?|hm+|m+h*m+|a+h+|o+h+|u+h+|e+h+|a+w+|u+m+|l(?:o+l)+|x+d+)")
_FACES = re.compile(r"(?<!\w)(?:[:;=8x]['-]?[()\[\]dpo3/\\|*]+|<3+|:\w+:)(?!\w)", re.IGNORECASE)
_DRAWN = re.compile(r"(\w)\1+")
# "Thanks Ana!": whom one greets or thanks. Not with a question mark, which may ask about them.
_CALLED = re.compile(
    r"(?i:\b(hi|hello|hey|thanks|thank you|thx|bye|goodbye|cheers|morning|night|sorry|ok|okay)),? "
    r"[A-Z][a-z]+(?=\s*(?:[,.!]|$))"
)

_ASKING = frozenset(["how", "what", "when", "where", "which", "who", "whom", "whose", "why"])
_PAST = frozenset(["did", "had", "was", "were"])
_AUXILIARY = _PAST | frozenset("am are is do does has have can could will would should may might".split())
_FIRST_OR_THIRD = frozenset(["i", "we", "he", "she", "they"])
_SUBJECT = _FIRST_OR_THIRD | frozenset(["it", "that", "this", "you"])
_OWN = frozenset(["my", "mine", "our", "ours"])


def is_small_talk(text: str, known: Collection[str] = ()) -> bool:
    """Whether `text` is nothing but small talk and asks nothing, so that no memory can be of use.

    `known` are terms of memories: what one of them says is not taken for a misspelled word.

    >>> is_small_talk("Thnaks, sounds great!"), is_small_talk("👍"), is_small_talk("Hello, who am I?")
    (True, True, False)
    """
    is_talk, slips = _read(text)
    return is_talk and slips.isdisjoint(known)


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[bool, frozenset[str]]:
    """Whether a text is small talk, and the terms that would have to be misspelled for that."""
    said = words(_FACES.sub(" ", _CALLED.sub(r"\1", text)))
    rest = _PHRASES.sub(" . ", " ".join(said)).split()
    if not said or _asks(rest, is_marked="?" in text):
        return not said and bool(text.strip()), frozenset()
    kinds = {word: _kind(word) for word in rest}
    slips = frozenset(term for word, kind in kinds.items() if kind == "slip" for term in terms(word))
    return "unknown" not in kinds.values() and _is_enough(kinds), slips


def _is_enough(kinds: Mapping[str, str]) -> bool:
    found = set(kinds.values())
    return not found.isdisjoint(("phrase", "alone", "slip")) or ("together" in found and len(kinds) > 1)


def _kind(word: str) -> str:
    """Which of the lists a word is in, however it is drawn out."""
    lists = {"alone": _ALONE, "together": _TOGETHER, "beside": _BESIDE, "phrase": "."}
    known = (name for name, those in lists.items() if word in those)
    if (found := next(known, None)) is not None:
        return found
    if word in STOP_WORDS or word.isdecimal():
        return "beside"
    if _SOUND.fullmatch(word) or _undrawn(word) in _UNDRAWN:
        return "alone"
    return "slip" if any(_is_slip(word, meant) for meant in _MISSPELLED) else "unknown"


def _undrawn(word: str) -> str:
    """A word without doubled letters, if it has any: `heyyy` and `sooo` are `hey` and `so`."""
    return _DRAWN.sub(r"\1", word) if _DRAWN.search(word) else ""


_UNDRAWN = frozenset(_DRAWN.sub(r"\1", word) for word in _ALONE | _TOGETHER | STOP_WORDS)


def _is_slip(word: str, meant: str) -> bool:
    """Whether a word differs from another by one letter or by two that changed places, and not by the first."""
    if word[0] != meant[0]:
        return False
    begin = len(commonprefix([word, meant]))
    one, two = word[begin:], meant[begin:]
    end = len(commonprefix([one[::-1], two[::-1]]))
    one, two = one[: len(one) - end], two[: len(two) - end]
    return max(len(one), len(two)) <= 1 or (len(one) == 2 and one == two[::-1])


def _asks(said: Sequence[str], *, is_marked: bool) -> bool:
    """Whether words ask what a memory may know: by a question word, by what is one's own, by verb before subject."""
    if not (_ASKING | _OWN).isdisjoint(said):
        return True
    return any(
        one in _AUXILIARY and two in (_SUBJECT if is_marked or one in _PAST else _FIRST_OR_THIRD)
        for one, two in pairwise(said)
    )
