"""Small talk: texts that nothing could be recalled for, told by the words that they are made of."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

from .words import STOP_WORDS, terms, words

_LISTS = tomllib.loads((files(__package__) / "small_talk.toml").read_text(encoding="utf-8"))
_WORDS = {name: frozenset(_LISTS[name].split()) for name in ("interjections", "reactions", "together", "beside")}
_MISSPELLED = frozenset(_LISTS["misspelled"].split())
_PHRASES = re.compile(rf"\b(?:{'|'.join(_LISTS['phrases'])})(?!\w)")

# Laughter, humming and the like, however long they are.
_SOUND = re.compile(
    r"[ae]?(?:(?:[hj]+a+){2,}h?|(?:h[eiou]+){2,}h?|hm+|m+h*m+|a+h+|o+h+|u+h+|e+h+|a+w+|u+m+|l(?:o+l)+|x+d+)"
)
_FACES = re.compile(r"(?<!\w)(?:[:;=8x]['-]?[()\[\]dpo3/\\|*]+|<3+|:\w+:)(?!\w)", re.IGNORECASE)
_DRAWN, _LONG = re.compile(r"(\w)\1+"), re.compile(r"(\w)\1\1")
# "Thanks Ana!": whom one greets or thanks. Not with a question mark, which may ask about them.
_CALLED = re.compile(
    r"(?i:\b(hi|hello|hey|thanks|thank you|thx|bye|goodbye|cheers|morning|night|sorry|ok|okay)),? "
    r"[A-Z][a-z]+(?=\s*(?:[,.!]|$))"
)

PHRASE = "."  # stands for a phrase
MOST_CHARS = 200  # of small talk
_ASKING = frozenset(["how", "what", "when", "where", "which", "who", "whom", "whose", "why"])
_PAST = frozenset(["did", "had", "was", "were"])
_AUXILIARY = _PAST | frozenset(["am", "are", "is", "do", "does", "has", "have", "can", "could", "will", "would"])
_FIRST_OR_THIRD = frozenset(["i", "we", "he", "she", "they"])
_SUBJECT = _FIRST_OR_THIRD | frozenset(["it", "that", "this", "you"])
_WANTING = frozenset(["want", "wanna", "need", "tell", "show", "give", "find", "get", "help", "explain", "about"])
_OWN = frozenset(["my", "mine", "our", "ours"])


def is_small_talk(text: str, known: Collection[str] = ()) -> bool:
    """Whether `text` is nothing but small talk and asks nothing, so that no memory can be of use.

    `known` are terms of memories. One word among the others may be anything that none of them says: "thanks for the
    reply" is small talk until a reply is remembered.

    >>> is_small_talk("Thnaks, sounds great!"), is_small_talk("👍"), is_small_talk("Hello, who am I?")
    (True, True, False)
    """
    if len(text) > MOST_CHARS:
        return False
    is_talk, strange = _read(text)
    return is_talk and strange.isdisjoint(known)


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[bool, frozenset[str]]:
    """Whether a text may be small talk, and the terms that are in no list: it is none to a memory that has one."""
    said = words(_FACES.sub(" ", _CALLED.sub(r"\1", text)))
    rest = _PHRASES.sub(f" {PHRASE} ", " ".join(said)).split()
    if not said:
        return bool(text.strip()), frozenset()
    kinds = {word: _kind(word) for word in rest}
    found = Counter(kinds.values())
    strange = frozenset(term for word, kind in kinds.items() if kind in ("slip", "unknown") for term in terms(word))
    is_marked = "?" in text
    asks = _asks(rest, is_marked=is_marked)
    if found["unknown"]:
        asks = _asks(rest, is_marked=True) or not _WANTING.isdisjoint(rest)
    return not asks and _is_enough(found, is_marked=is_marked), strange


def _is_enough(found: Mapping[str, int], *, is_marked: bool) -> bool:
    """Whether words of these kinds may be small talk."""
    said = found["interjections"] + found["slip"]
    if found["unknown"]:
        return said > 0 and found["unknown"] == 1 and not is_marked
    return said + found["phrase"] + found["reactions"] > 0 or (found["together"] > 0 and sum(found.values()) > 1)


def _kind(word: str) -> str:
    """Which of the lists a word is in, however it is drawn out."""
    listed = next((name for name, those in _WORDS.items() if word in those), None)
    if listed is not None:
        return listed
    if word == PHRASE:
        return "phrase"
    if word in STOP_WORDS or word.isdecimal():
        return "beside"
    if _SOUND.fullmatch(word):
        return "interjections"
    if _DRAWN.search(word) and (kind := _undrawn_kind(word)):
        return kind
    return "slip" if any(_is_slip(word, meant) for meant in _MISSPELLED) else "unknown"


def _undrawn(word: str) -> str:
    return _DRAWN.sub(r"\1", word)


_UNDRAWN = {name: frozenset(map(_undrawn, those)) for name, those in (*_WORDS.items(), ("stop", STOP_WORDS))}


def _undrawn_kind(word: str) -> str | None:
    """The list of a word said long: `sooo`, and of greetings and the like `heyy` too (but `bee` is not `be`)."""
    found = next((name for name, those in _UNDRAWN.items() if _undrawn(word) in those), None)
    return found if found == "interjections" or _LONG.search(word) else None


def _is_slip(word: str, meant: str) -> bool:
    """Whether a word differs from another by one letter or by two that changed places, and not by the first."""
    if word[0] != meant[0]:
        return False
    pairs = enumerate(zip(word, meant, strict=False))
    begin = next((place for place, (one, two) in pairs if one != two), min(len(word), len(meant)))
    one, two = word[begin:], meant[begin:]
    is_swapped = one[:2] == two[1::-1] and one[2:] == two[2:]
    return is_swapped or one[1:] == two[1:] or one[1:] == two or one == two[1:]


def _asks(said: Sequence[str], *, is_marked: bool) -> bool:
    """Whether words ask what a memory may know: by a question word, by what is one's own, by verb before subject."""
    if not (_ASKING | _OWN).isdisjoint(said):
        return True
    return any(
        one in _AUXILIARY and two in (_SUBJECT if is_marked or one in _PAST else _FIRST_OR_THIRD)
        for one, two in pairwise(said)
    )
