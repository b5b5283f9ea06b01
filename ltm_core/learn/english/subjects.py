"""Subjects: who a clause is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .lexicon import canonical, lexicon
from .statements import is_verb
from .tokens import Token

_AUXILIARIES = lexicon("near_misses", "auxiliaries")


NOMINATIVES = frozenset(["i", "we", "he", "she"])


OTHERS = lexicon("near_misses", "other_subjects")


_DETERMINERS = frozenset(["my", "our", "a", "an", "one"])


_ADJECTIVES = lexicon("near_misses", "before_persons")


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a clause is about: `about` is None where nobody we know; `possessed` where it begins with "my …"."""

    about: str | None
    end: int
    possessed: bool = False
    mentions: tuple[tuple[str, str], ...] = ()
    together: bool = False


@dataclass(slots=True)
class People:
    """Whom the message has named so far, so that "she" and "Anna" are known again."""

    names: dict[str, str] = field(default_factory=dict)
    last: str | None = None
    told: set[str] = field(default_factory=set)

    def meant_by(self, pronoun: str) -> str | None:
        """The relation that a pronoun stands for, where it can."""
        other = {"he": "she", "she": "he", "his": "she", "her": "he"}.get(pronoun)
        return None if self.last is None or (other and self.last in lexicon(other)) else self.last


def subject_at(tokens: Sequence[Token], at: int, opened: bool, people: People) -> Subject | None:
    """The subject that begins at `at`, if a clause can begin with it."""
    low = tokens[at].low
    if low in ("i", "we") and not (at and tokens[at - 1].low in ("and", "between") and at + 1 >= len(tokens)):
        return Subject("user", at + 1)
    if low in ("he", "she") and not _beside_slash(tokens, at):
        return Subject(people.meant_by(low), at + 1)
    if low == "who" and people.last and at and _follows_person(tokens, at, people):
        return Subject(people.last, at + 1)
    return _opening_subject(tokens, at, people) if opened else None


def _beside_slash(tokens: Sequence[Token], at: int) -> bool:
    """Whether it is one of the pronouns in "she/her"."""
    return "/" in [token.text for token in tokens[max(0, at - 1) : at + 2]]


def _opening_subject(tokens: Sequence[Token], at: int, people: People) -> Subject | None:
    """A subject that may only stand where a clause opens."""
    low = tokens[at].low
    if low in ("my", "our"):
        return _mine(tokens, at, people)
    if low in ("his", "her") and people.meant_by(low) and _verb_within(tokens, at + 1, 6):
        return Subject(people.meant_by(low), at + 1, possessed=True)
    if low in lexicon("kin") and at + 1 < len(tokens) and _is_finite(tokens[at + 1]):
        relation = canonical("relations")[(low,)]
        return Subject(relation, at + 1, mentions=((relation, ""),))
    return _introduced(tokens, at) or _other(tokens, at, people)


def _follows_person(tokens: Sequence[Token], at: int, people: People) -> bool:
    return any(
        token.low in ("sister", "brother")
        or canonical("relations").get((_one(token.low),)) == people.last
        or token.text in people.names
        for token in tokens[max(0, at - 4) : at]
    )


def _one(low: str) -> str:
    return low[:-1] if low.endswith("s") else low


def _other(tokens: Sequence[Token], at: int, people: People) -> Subject | None:
    token = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    if after is None or not _is_finite(after):
        return None
    if token.text in people.names:
        return Subject(people.names[token.text], at + 1)
    if token.low == "they" and not _beside_slash(tokens, at):
        return Subject(people.meant_by("they") if people.last in ("parents", "kids") else None, at + 1)
    named = token.capital and at > 0 and after.low in lexicon("near_misses", "after_names")
    return Subject(None, at + 1) if named or token.low in OTHERS else None


def _mine(tokens: Sequence[Token], at: int, people: People) -> Subject | None:
    relation, end = relation_at(tokens, at + 1)
    if not relation or (end < len(tokens) and tokens[end].low == "call"):
        return Subject("user", at + 1, possessed=True) if _verb_within(tokens, at + 1, 8) else None
    if end < len(tokens) and tokens[end].low == "'s" and not is_be(tokens, end):
        return Subject(relation, end + 1, possessed=True)
    name, end = _apposition(tokens, end)
    mentions = ((relation, name),)
    if at > 1 and tokens[at - 1].low in ("and", "&") and tokens[at - 2].low == "me":
        return Subject("user", end, mentions=mentions, together=True)
    if end + 1 < len(tokens) and tokens[end].low in ("and", "&") and tokens[end + 1].low == "i":
        return Subject("user", end + 2, mentions=mentions, together=True)
    if end < len(tokens) and _is_finite(
        tokens[_past_adverbs(tokens, end)] if _past_adverbs(tokens, end) < len(tokens) else tokens[end]
    ):
        return Subject(relation, end, mentions=mentions)
    return None


def _introduced(tokens: Sequence[Token], at: int) -> Subject | None:
    """A person with a name and what they are: "Tom (my best mate since school) lives …", "Tom, my brother, is …"."""
    if not tokens[at].capital:
        return None
    opening = next((i for i in range(at + 1, min(at + 3, len(tokens))) if tokens[i].text in "(,"), 0)
    if not opening or opening + 2 >= len(tokens) or tokens[opening + 1].low != "my":
        return None
    relation, end = relation_at(tokens, opening + 2)
    closing = ")" if tokens[opening].text == "(" else ","
    stop = next((i for i in range(end, min(end + 6, len(tokens))) if tokens[i].text == closing), 0)
    if not relation or stop + 1 >= len(tokens) or not stop or not _is_finite(tokens[stop + 1]):
        return None
    return Subject(relation, stop + 1, mentions=((relation, " ".join(t.text for t in tokens[at:opening])),))


def _past_adverbs(tokens: Sequence[Token], at: int) -> int:
    while at < len(tokens) and tokens[at].low in lexicon("skip"):
        at += 1
    return at


def relation_at(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    """The relation that is named at `at` and where its name ends; "" where none is."""
    while at < len(tokens) and tokens[at].low in _ADJECTIVES:
        at += 1
    if at >= len(tokens):
        return "", at
    low = tokens[at].low
    found = canonical("relations").get((low,))
    if not found and canonical("relations").get((_one(low),)) and low.endswith("s"):
        found = low
    if low in ("children", "kids"):
        found = "kids" if low == "kids" else "children"
    return (found or "", at + 1)


def _apposition(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    start = at + 1 if at < len(tokens) and tokens[at].kind == "comma" else at
    end = start
    while end < len(tokens) and end - start < 3 and tokens[end].capital and tokens[end].kind == "word":
        end += 1
    if end == start:
        return "", at
    if start > at:
        if end < len(tokens) and tokens[end].kind == "comma":
            return tokens[start].text, end + 1
        return "", at
    return " ".join(token.text for token in tokens[start:end]), end


def person_at(tokens: Sequence[Token], at: int) -> str | None:
    """The relation of a person of the speaker's who is named at `at`."""
    before = at - 1
    while before > 0 and tokens[before].low in _ADJECTIVES:
        before -= 1
    if before < 0 or tokens[before].low not in _DETERMINERS:
        return None
    return canonical("relations").get((tokens[at].low,))


def is_be(tokens: Sequence[Token], at: int) -> bool:
    """Whether the 's at `at` is short for "is" or "has", and no possessive."""
    before = tokens[at - 1].low if at else ""
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    if before in NOMINATIVES or before in OTHERS or before in _ASKING:
        return True
    if after is None:
        return False
    if before in lexicon("near_misses", "be_before"):
        return after.low != "day"
    return after.kind == "number" or after.low in lexicon("be_after") or after.low in lexicon("nationalities")


_ASKING = frozenset(["who", "what", "that", "here", "where", "how"])


def _verb_within(tokens: Sequence[Token], at: int, most: int) -> bool:
    for i in range(at, min(at + most, len(tokens))):
        token = tokens[i]
        if token.kind not in ("word", "number") or token.low in ("and", "but", "who", "which", "that"):
            return False
        if i > at and _is_verb_at(tokens, i):
            return True
    return False


def _is_verb_at(tokens: Sequence[Token], at: int) -> bool:
    token = tokens[at]
    if token.low == "'s":
        return is_be(tokens, at)
    return token.low in _CERTAIN_VERBS or (token.low != "no" and _is_finite(token))


_CERTAIN_VERBS = frozenset(["is", "are", "was", "were", "has", "have", "include", "includes", "call", "fall", "falls"])


def _is_finite(token: Token) -> bool:
    if token.kind != "word" or token.capital:
        return False
    return (
        token.base in _AUXILIARIES
        or (is_verb(token.base) and not token.low.endswith("ing"))
        or token.low.endswith("ed")
        or token.low in lexicon("reporters")
    )
