"""Small talk: texts that nothing could be recalled for, told by the words that they are made of."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import groupby
from operator import itemgetter

from .words import STOP_WORDS, terms, words

_LISTS = tomllib.loads((files(__package__) / "small_talk.toml").read_text(encoding="utf-8"))
_KINDS = ("interjections", "reactions", "together", "beside", "called", "meant")
_WORDS = {name: frozenset(words(_LISTS[name])) for name in _KINDS}
_WORDS["interjections"] |= frozenset(words(_LISTS["abroad"]))
_MISSPELLED = {first: tuple(those) for first, those in groupby(sorted(_LISTS["misspelled"].split()), itemgetter(0))}


def _written(phrases: Sequence[str], parts: Mapping[str, str]) -> str:
    """A pattern for any of these phrases, with the parts that they and other parts name."""
    written = "|".join(phrases)
    while named := [name for name in parts if f"{{{name}}}" in written]:
        for name in named:
            written = written.replace(f"{{{name}}}", f"(?:{parts[name]})")
    return written


_PATTERN = _written([phrase for group in _LISTS["phrases"].values() for phrase in group], _LISTS["parts"])
_PHRASES, _IN_PHRASES = re.compile(rf"\b(?:{_PATTERN})(?!\w)"), frozenset(re.findall(r"\w+", _PATTERN))

# Laughter, humming and the like, however long they are.
_SOUND = re.compile(
    r"[ae]?(?:(?:[hj]+a+){2,}h?|(?:h[eiou]+){2,}h?|hm+|m+h*m+|a+h+|o+h+|u+h+|e+h+|a+w+|u+m+|l(?:o+l)+|x+d+)"
    r"|(?:yes|yeah|ok|bye|hi|hey|yo|jo|no|bla){2,}"
)
_FACES = re.compile(r"(?<!\w)(?:[:;=8x]['-]?[()\[\]dpo3/\\|*]+|<3+|:\w+:)(?!\w)", re.IGNORECASE)
_DRAWN, _LONG = re.compile(r"(\w)\1+"), re.compile(r"(\w)\1\1")
# "Thanks Ana!": whom one greets or thanks. Not with a question mark, which may ask about them.
_CALLED = re.compile(
    r"(?i:\b(hi|hello|hey|thanks|thank you|thx|bye|goodbye|cheers|morning|night|sorry|ok|okay)),? "
    r"[A-Z][a-z]+(?=\s*(?:[,.!]|$))"
)
# "No, …", "Great! …": a judgement that stands apart is an interjection.
_OPENING = re.compile(rf"^\W*(?:{'|'.join(_LISTS['reactions'].split())})(?=\s*[,.!;:-])", re.IGNORECASE)
# "Ana, …" and "…, Ana!": whom one talks to.
_NAMED = re.compile(r"^(\w+),|,\s*(\w+)\W*$")
# "Thanks for …": what one is thanked for may take more words that nobody remembers.
_THANKS_FOR = re.compile(
    r"\b(?:th?a?n?[kx]s?|thank ?(?:you|u)|ty|appreciate|sorry)\b[\w\s]{0,20}? (?:for|about)\b", re.IGNORECASE
)

PHRASE = "."  # stands for a phrase
MOST_CHARS = 200  # of small talk
MOST_STRANGE = 3  # words in no list, in what one gives thanks for
_VETOED = frozenset(["meant", "slip", "unknown"])  # kinds of words whose terms make it no small talk to who knows them
_ASKING = frozenset(["how", "what", "when", "where", "which", "who", "whom", "whose", "why", "wat", "wut", "wht"])
_PAST = frozenset(["did", "had", "was", "were"])
_AUXILIARY = _PAST | frozenset(
    ["am", "are", "is", "do", "does", "has", "have", "can", "could", "may", "must", "shall", "should", "will", "would"]
)
_FIRST_OR_THIRD = frozenset(["i", "we", "he", "she", "they"])
_SUBJECT = _FIRST_OR_THIRD | frozenset(["it", "that", "this", "you"])
_BEGINNING = _SUBJECT | frozenset(["any", "his", "her", "the", "their", "there", "these", "those", "your"])
_WANTING = frozenset(["want", "wanna", "need", "tell", "show", "give", "find", "get", "help", "explain", "about"])
_REQUESTS = (
    (frozenset(["tell", "give", "show", "get", "bring"]), frozenset(["me", "us"])),
    (frozenset(["looking"]), frozenset(["for"])),
    (frozenset(["want", "wanna", "like", "need", "do"]), frozenset(["something", "someone", "somewhere", "things"])),
)
_OWN = frozenset(["my", "mine", "our", "ours"])
_SEEKING = frozenset(["find", "search", "remind", "recommend"])


def is_small_talk(text: str, known: Collection[str] = ()) -> bool:
    """Whether `text` is nothing but small talk and asks nothing, so that no memory can be of use.

    `known` are terms of memories. One word among the others may be anything that none of them says, and three of what
    one gives thanks for: "thanks for the lift" is small talk until a lift is remembered.

    >>> is_small_talk("Thnaks, sounds great!"), is_small_talk("👍"), is_small_talk("Hello, who am I?")
    (True, True, False)
    """
    if len(text) > MOST_CHARS:
        return False
    is_talk, strange = _read(text)
    return is_talk and (not strange or strange.isdisjoint(known))


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[bool, frozenset[str]]:
    """Whether a text may be small talk, and the terms that are in no list: it is none to a memory that has one."""
    said = words(_FACES.sub(" ", _CALLED.sub(r"\1", _OPENING.sub("ok", text))))
    if not said:
        return bool(text.strip()), frozenset()
    room = MOST_STRANGE if _THANKS_FOR.search(text) else 1
    if sum(_kind(word) == "unknown" and word not in _IN_PHRASES for word in said) > room + 1:
        return False, frozenset()  # most questions end here, before the phrases are looked for
    rest = _PHRASES.sub(f" {PHRASE} ", " ".join(said)).split()
    kinds = _kinds(rest, text)
    strange = frozenset(term for word, kind in zip(rest, kinds, strict=True) if kind in _VETOED for term in terms(word))
    found, is_marked = Counter(kinds), "?" in text
    asks = _asks(rest, is_marked=is_marked, is_strict=bool(found["unknown"]) or found["stop"] == len(rest))
    return not asks and _is_enough(found, room=room, is_marked=is_marked), strange


def _kinds(rest: Sequence[str], text: str) -> list[str]:
    """The kind of each word; an unknown one that stands apart in a text that asks nothing is a name."""
    named = _named(text) if "?" not in text else ()
    kinds = [_kind(word) for word in rest]
    return ["meant" if kind == "unknown" and word in named else kind for word, kind in zip(rest, kinds, strict=True)]


def _named(text: str) -> frozenset[str]:
    """The words of a text that stand apart at its beginning or its end, as names of whom one talks to do."""
    return frozenset(word for found in _NAMED.findall(text) for part in found for word in words(part))


def _is_enough(found: Mapping[str, int], *, room: int, is_marked: bool) -> bool:
    """Whether words of these kinds may be small talk, where as many as `room` may be unknown."""
    total, addressed = sum(found.values()), found["interjections"] + found["slip"]
    aside = found["called"] + found["meant"]
    if found["unknown"]:
        is_called = found["phrase"] > 0 and found["phrase"] + aside + found["unknown"] == total
        return not is_marked and found["unknown"] <= room and (addressed > 0 or is_called)
    if addressed + found["phrase"] + found["reactions"]:
        return True
    said = found["stop"] == total or found["together"]
    return bool(said) and not is_marked and total > aside + 1


@lru_cache(maxsize=4096)
def _kind(word: str) -> str:
    """Which of the lists a word is in, however it is drawn out."""
    listed = next((name for name, those in _WORDS.items() if word in those), None)
    if listed is not None:
        return listed
    if word == PHRASE:
        return "phrase"
    if word in STOP_WORDS:
        return "stop"
    if word.isdecimal():
        return "beside"
    if _SOUND.fullmatch(word):
        return "interjections"
    if _DRAWN.search(word) and (kind := _undrawn_kind(word)):
        return kind
    return "slip" if any(_is_slip(word, meant) for meant in _MISSPELLED.get(word[0], ())) else "unknown"


def _undrawn(word: str) -> str:
    return _DRAWN.sub(r"\1", word)


_UNDRAWN = {name: frozenset(map(_undrawn, those)) for name, those in (*_WORDS.items(), ("stop", STOP_WORDS))}


def _undrawn_kind(word: str) -> str | None:
    """The list of a word said long: `sooo`, and of greetings and the like `heyy` too (but `bee` is not `be`)."""
    found = next((name for name, those in _UNDRAWN.items() if _undrawn(word) in those), None)
    return found if found == "interjections" or _LONG.search(word) else None


def _is_slip(word: str, meant: str) -> bool:
    """Whether a word differs from another of the same beginning by one letter, or by two that changed places."""
    pairs = enumerate(zip(word, meant, strict=False))
    begin = next((place for place, (one, two) in pairs if one != two), min(len(word), len(meant)))
    one, two = word[begin:], meant[begin:]
    is_swapped = one[:2] == two[1::-1] and one[2:] == two[2:]
    return is_swapped or one[1:] == two[1:] or one[1:] == two or one == two[1:]


def _asks(said: Sequence[str], *, is_marked: bool, is_strict: bool) -> bool:
    """Whether words ask what a memory may know: by a question word, by what is one's own, by verb before subject.

    Where `is_strict`, also by what is wanted, and as if they had a question mark.
    """
    if not (_ASKING | _OWN | _SEEKING | (_WANTING if is_strict else frozenset())).isdisjoint(said):
        return True
    subjects = _SUBJECT if is_marked or is_strict else _FIRST_OR_THIRD
    return any(_is_asked(three, subjects) for three in zip(["", *said], said, said[1:], strict=False))


def _is_asked(three: tuple[str, str, str], subjects: Collection[str]) -> bool:
    """Whether the last two of three words are a request, or a verb and its subject ("did you", not "you did that")."""
    before, verb, after = three
    if any(verb in verbs and after in objects for verbs, objects in _REQUESTS):
        return True
    if not before:
        subjects = _BEGINNING
    elif verb in _PAST:
        subjects = _SUBJECT
    return verb in _AUXILIARY and before not in _SUBJECT and after in subjects
