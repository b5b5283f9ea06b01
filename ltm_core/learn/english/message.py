"""One message, read sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from .asserted import begins_fiction, is_anothers, is_english, is_joke
from .clause import SLOTS, Clause
from .labels import LABELS, begin_of_fields, fields, is_form
from .lexicon import lexicon
from .orders import requests
from .said import ASKED_TO_REMEMBER, Heard, Said
from .sentence import SentenceReader
from .sentences import Sentence, sentences
from .subjects import relation_at
from .tokens import Token, scan

_TAKES_BACK = frozenset(["kidding", "joking", "jk", "/s", "sarcasm"])
_PROFILE = frozenset(["me", "myself", "profile", "bio", "facts", "info"])


def read_text(text: str, now: datetime) -> list[Said]:
    """What the speaker of `text` told, in order; `now` is when it was said, for dates."""
    heard = Heard(text, now)
    form = is_form(text)
    for sentence in sentences(list(scan(text))):
        lows = [token.low for token in sentence.tokens]
        if begins_fiction(lows):
            break
        if is_joke(lows):
            if _TAKES_BACK & set(lows):
                heard.forget()
        elif is_english(sentence):
            rest = sentence if form else _read_fields(heard, sentence)
            if rest.tokens and not is_anothers(rest):
                _read_sentence(heard, rest)
    return heard.facts


def _read_fields(heard: Heard, sentence: Sentence) -> Sentence:
    """Read "Name: Carlos", and give back what stands before the first field."""
    stated = list(fields(sentence.tokens))
    for tokens in stated:
        SentenceReader(heard, Sentence(tokens, False)).read()
    return Sentence(sentence.tokens[: begin_of_fields(sentence.tokens)], sentence.question) if stated else sentence


def _read_sentence(heard: Heard, sentence: Sentence) -> None:
    before = len(heard)
    start = _label_end(sentence.tokens)
    if start:
        heard.profile = bool(_PROFILE & {token.low for token in sentence.tokens[:start]})
    tokens = sentence.tokens[start:]
    for begin, end, remembered in requests(tokens):
        asks = sentence.question and not (remembered and _is_polite(tokens[:begin]))
        piece = Sentence(tokens[begin:end], asks, listed=heard.profile)
        if remembered:
            _remember(heard, piece)
        elif end > begin:
            SentenceReader(heard, piece).read()
    _name_pet(heard, tokens)
    _correct(heard, tokens)
    if not sentence.question or len(heard) > before:
        _meet_in_passing(heard, sentence.tokens)


def _label_end(tokens: Sequence[Token]) -> int:
    """Where the text after "About me:" begins."""
    for at, token in enumerate(tokens[:6]):
        if token.text in "–—-" and at and tokens[at - 1].low in _PROFILE:
            return at + 1
        if token.text == ":" and at:
            return at + 1 if tokens[at - 1].low in LABELS or tokens[0].low in LABELS else 0
    return 0


def _remember(heard: Heard, piece: Sentence) -> None:
    """What was asked to be remembered: the fact it states, else the words themselves."""
    if piece.question or not piece.tokens:
        return
    inner = SentenceReader(heard, piece, confidence=ASKED_TO_REMEMBER)
    inner.read()
    note = heard.quote(piece.tokens).rstrip(" ,;:-")
    if not inner.found and not inner.blocked and len(note.split()) > 1 and not _is_advice(piece.tokens):
        heard.add(Said("user", "note", note.lower(), note, note, confidence=ASKED_TO_REMEMBER))


def _is_advice(tokens: Sequence[Token]) -> bool:
    """Whether it is good advice to a friend and nothing of one's own: "staying positive is important"."""
    lows = {token.low for token in tokens}
    if {"you", "your", "yourself"} & lows:
        return True
    first = tokens[0].low
    general = first.endswith("ing") or first in _GENERAL
    return general and not {"i", "we", "my", "our", "me", "us"} & lows and not any(t.kind == "number" for t in tokens)


_GENERAL = lexicon("near_misses", "general")


def _is_polite(head: Sequence[Token]) -> bool:
    """Whether "remember that" follows "can you": a request in the form of a question."""
    lows = [token.low for token in head]
    return "you" in lows[1:] and lows[lows.index("you", 1) - 1] in ("can", "could", "would", "will")


def _meet_in_passing(heard: Heard, tokens: Sequence[Token]) -> None:
    """People and animals that are named on the way: "a party for my cousin Rafi"."""
    for place, token in enumerate(tokens):
        if token.low in ("my", "our"):
            _meet_person(heard, tokens, place)
            _meet_pet(heard, tokens[place : place + 3])
            _meet_named_pet(heard, tokens, place)


def _meet_person(heard: Heard, tokens: Sequence[Token], place: int) -> None:
    relation, end = relation_at(tokens, place + 1)
    start = end + 1 if end < len(tokens) and tokens[end].low in ("called", "named") else end
    stop = start
    while stop < len(tokens) and stop - start < 2 and tokens[stop].capital and tokens[stop].kind == "word":
        stop += 1
    if relation and stop > start and not relation.endswith("s"):
        heard.meet(relation, " ".join(token.text for token in tokens[start:stop]), heard.quote(tokens[place:stop]))


def _meet_pet(heard: Heard, tokens: Sequence[Token]) -> None:
    if len(tokens) == 3 and tokens[1].low in lexicon("species") and tokens[2].capital and tokens[2].kind == "word":
        fact = Said("user", "pet", tokens[2].low, tokens[1].low, heard.quote(tokens))
        if replace(fact, retract=True).key not in {other.key for other in heard.facts}:
            heard.add(fact)


def _correct(heard: Heard, tokens: Sequence[Token]) -> None:
    """Hear "…, not Max" behind a fact that has Maxi in the place of it: there is no Max."""
    for comma, denial, wrong in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if comma.kind != "comma" or denial.low != "not" or wrong.kind != "word":
            continue
        before = tokens[tokens.index(comma) - 1].low
        for fact in heard.facts:
            if fact.item == before and not fact.retract and fact.attribute != "opinion":
                value = wrong.text if str(fact.value).lower() == before else fact.value
                heard.add(replace(fact, item=wrong.low, value=value, retract=True))


def _meet_named_pet(heard: Heard, tokens: Sequence[Token], place: int) -> None:
    """Hear "Biscuit, my golden retriever, ate a sock"."""
    if place < 2 or tokens[place - 1].text not in (",", "(") or not tokens[place - 2].capital:
        return
    clause = Clause(heard.text, tokens[place + 1 : place + 6], heard.now)
    kind = SLOTS["PETKIND"](clause, 0, len(clause.words))
    if kind and (kind.end == len(clause.words) or clause.words[kind.end].kind in ("comma", "stop")):
        name = tokens[place - 2].low
        heard.add(Said("user", "pet", name, kind.values[0], heard.quote(tokens[place - 2 : place + 1 + kind.end])))


_PET_NAMINGS = frozenset(
    (his, *rest)
    for his in ("his", "her", "its", "he", "she")
    for rest in (("name", "is"), ("name", "'s"), ("'s", "called"), ("is", "called"))
)


def _name_pet(heard: Heard, tokens: Sequence[Token]) -> None:
    """Hear "her name is Nala", said of an animal before."""
    lows = [token.low for token in tokens]
    for at in range(len(lows) - 3):
        if tuple(lows[at : at + 3]) in _PET_NAMINGS and tokens[at + 3].capital:
            heard.name_pet(tokens[at + 3].text)
