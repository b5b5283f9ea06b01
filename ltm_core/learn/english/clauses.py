"""Sentences and clauses: who each clause is about, and whether the speaker asserts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .clause import frequency_length
from .lexicon import canonical, lexicon
from .statements import is_verb
from .tokens import Token

_AUXILIARIES = frozenset(
    [
        "be",
        "was",
        "were",
        "have",
        "had",
        "do",
        "did",
        "can",
        "could",
        "will",
        "would",
        "shall",
        "should",
        "may",
        "might",
        "must",
        "'s",
        "not",
        "never",
        "cannot",
        "no",
    ]
)
_CONNECTORS = lexicon("near_misses", "connectors")
_NOMINATIVES = frozenset(["i", "we", "he", "she"])
_OTHERS = frozenset(
    [
        "you",
        "it",
        "they",
        "this",
        "that",
        "there",
        "everyone",
        "everybody",
        "somebody",
        "someone",
        "people",
        "these",
        "those",
    ]
)
_BREAKS = frozenset(["stop", "hidden", "symbol"])
_DETERMINERS = frozenset(["my", "our", "a", "an", "one"])
_ADJECTIVES = frozenset(
    [
        "older",
        "younger",
        "little",
        "big",
        "best",
        "eldest",
        "oldest",
        "youngest",
        "twin",
        "late",
        "dear",
        "elder",
        "good",
        "close",
        "old",
        "new",
        "current",
        "former",
        "beloved",
        "amazing",
        "own",
        "middle",
        "lovely",
    ]
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """Tokens up to a full stop, a question mark or a new line; `listed` if its commas part statements."""

    tokens: Sequence[Token]
    question: bool
    listed: bool = False


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


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a sentence that may say one thing.

    Attributes:
        head: The words before the subject.
        body: The words after it.
        joined: How it is tied to what stood before: "start", "break", "comma", "and", "that", or
            "" where it simply runs on.
    """

    head: Sequence[Token]
    subject: Subject | None
    body: Sequence[Token]
    joined: str
    own: Sequence[Token]


MAX_SENTENCE = 200
"""What goes on for more tokens is no talk about oneself: the rest of it is not read, which bounds the time."""


def sentences(tokens: Sequence[Token]) -> Iterator[Sentence]:
    """Cut tokens at full stops, question marks and line ends that end something."""
    current: list[Token] = []
    for place, token in enumerate(tokens):
        if token.kind == "break" and not _ends_line(tokens, place):
            continue
        if token.kind in ("end", "break"):
            if current:
                yield Sentence(current, "?" in token.text)
            current = []
        elif len(current) < MAX_SENTENCE:
            current.append(token)
    if current:
        yield Sentence(current, False)


def _ends_line(tokens: Sequence[Token], place: int) -> bool:
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    return after is None or tokens[place].text.count("\n") > 1 or not (after.kind == "word" and after.text[0].islower())


def parts(sentence: Sentence, people: People) -> Iterator[Part]:
    """Cut a sentence where a new subject, a question or an order begins."""
    tokens = sentence.tokens
    starts: list[tuple[int, Subject | None]] = [(0, None)]
    at = 0
    while at < len(tokens):
        if relation := _person_at(tokens, at):
            people.last = relation
        subject = subject_at(tokens, at, at == 0 or _opens(tokens, at - 1), people)
        if (
            subject
            and at > 0
            and starts[-1][1] is not None
            and (lead := _circumstance_before(tokens, starts[-1][0], at))
        ):
            starts.append((lead, None))
        if subject and at > 0 and not (starts[-1][1] is None and at == starts[-1][0]):
            starts.append((at, subject))
        elif subject:
            starts[-1] = (at, subject)
        elif at > starts[-1][0] and _breaks_off(sentence, at):
            starts.append((at, None))
        if subject:
            _take_note(subject, people)
        at = subject.end if subject else at + 1
    yield from _assemble(tokens, starts)


def _circumstance_before(tokens: Sequence[Token], begin: int, at: int) -> int:
    """Where "…, and next week" begins that leads in the subject at `at`; 0 where nothing of the kind does."""
    for start in range(at, max(begin, at - 8), -1):
        if tokens[start - 1].kind in ("comma", *_BREAKS) or tokens[start - 1].low in _CONNECTORS:
            return start if start < at and opens_only(tokens[start:at]) else 0
    return 0


def _person_at(tokens: Sequence[Token], at: int) -> str | None:
    """The relation of a person of the speaker's who is named at `at`."""
    if not at or tokens[at - 1].low not in _DETERMINERS | _ADJECTIVES:
        return None
    return canonical("relations").get((tokens[at].low,))


def _take_note(subject: Subject, people: People) -> None:
    if subject.about and subject.about != "user":
        people.last = subject.about
    for relation, name in subject.mentions:
        if name:
            people.names[name.split()[0]] = relation


def _assemble(tokens: Sequence[Token], starts: Sequence[tuple[int, Subject | None]]) -> Iterator[Part]:
    for place, (start, subject) in enumerate(starts):
        end = starts[place + 1][0] if place + 1 < len(starts) else len(tokens)
        trimmed = _trim(tokens, start, end)
        body = tokens[subject.end if subject else start : trimmed]
        joined = _joint(tokens, start)
        bare = subject and place and starts[place - 1][1] is None and joined in ("", "that")
        head = tokens[starts[place - 1][0] : start] if bare else ()
        yield Part(head, subject, body, joined, tokens[start:trimmed])


def _trim(tokens: Sequence[Token], start: int, end: int) -> int:
    while (
        end > start
        and (tokens[end - 1].low in _CONNECTORS or tokens[end - 1].kind in ("comma", *_BREAKS))
        and tokens[end - 1].text not in "/'%$+#"
    ):
        if tokens[end - 1].low in ("so", "though", "also") and end == len(tokens):
            break
        end -= 1
    return end


def _joint(tokens: Sequence[Token], start: int) -> str:
    if start == 0:
        return "start"
    before = tokens[start - 1]
    if before.kind in _BREAKS:
        return "break"
    if before.kind == "comma":
        return "comma"
    if before.low == "that":
        return "that"
    return "and" if before.low in _CONNECTORS else ""


def _opens(tokens: Sequence[Token], at: int) -> bool:
    """Whether a subject may follow this token."""
    token = tokens[at]
    return (
        token.kind in ("comma", *_BREAKS)
        or token.low in _CONNECTORS
        or token.low in lexicon("temporal")
        or token.low in lexicon("openers")
        or token.low in ("if", "unless")
    )


def _breaks_off(sentence: Sentence, at: int) -> bool:
    tokens = sentence.tokens
    token, before = tokens[at], tokens[at - 1]
    if sentence.listed and before.kind == "comma":
        return True
    if before.kind in _BREAKS and before.text not in "/'%$+#-&":
        return True
    if token.low in ("if", "unless", "whether") or (
        token.low in ("when", "whenever", "once", "until", "before", "after", "while") and _subject_soon(tokens, at + 1)
    ):
        return True
    joined = before.kind == "comma" or before.low in ("and", "so", "but", "then")
    if joined and (token.low in lexicon("imperatives") and _orders(tokens, at)):
        return True
    if token.low in ("who", "who's") and at > 1:
        return False
    if not (joined and sentence.question):
        return False
    return token.low in lexicon("questions")


def _subject_soon(tokens: Sequence[Token], at: int) -> bool:
    return at < len(tokens) and (tokens[at].low in _NOMINATIVES | _OTHERS | {"my", "our", "your", "the"})


def _orders(tokens: Sequence[Token], at: int) -> bool:
    """Whether an order begins here: "…, don't use emojis", not "…, help and advice"."""
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    if tokens[at].low in ("do", "please", "always", "never"):
        return tokens[at].low != "do" or (after is not None and after.low == "not")
    return after is not None and after.kind == "word" and after.low not in ("and", "or")


def subject_at(tokens: Sequence[Token], at: int, opened: bool, people: People) -> Subject | None:
    """The subject that begins at `at`, if a clause can begin with it."""
    low = tokens[at].low
    if low in ("i", "we") and not (at and tokens[at - 1].low in ("and", "between") and at + 1 >= len(tokens)):
        return Subject("user", at + 1)
    if low in ("he", "she"):
        return Subject(people.meant_by(low), at + 1)
    if low == "who" and people.last and at and _follows_person(tokens, at, people):
        return Subject(people.last, at + 1)
    if not opened:
        return None
    if low in ("my", "our"):
        return _mine(tokens, at, people)
    if low in ("his", "her") and people.meant_by(low) and _verb_within(tokens, at + 1, 6):
        return Subject(people.meant_by(low), at + 1, possessed=True)
    return _other(tokens, at, people)


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
    if token.low == "they":
        return Subject(people.meant_by("they") if people.last in ("parents", "kids") else None, at + 1)
    if token.low in _OTHERS:
        return Subject(None, at + 1)
    if (
        token.capital
        and at > 0
        and (
            after.low
            in (
                "is",
                "was",
                "has",
                "loves",
                "likes",
                "lives",
                "works",
                "hates",
                "says",
                "said",
                "thinks",
                "wants",
                "can",
                "will",
            )
        )
    ):
        return Subject(None, at + 1)
    return None


def _mine(tokens: Sequence[Token], at: int, people: People) -> Subject | None:
    relation, end = relation_at(tokens, at + 1)
    if not relation or (end < len(tokens) and tokens[end].low == "call"):
        return Subject("user", at + 1, possessed=True) if _verb_within(tokens, at + 1, 8) else None
    if end < len(tokens) and tokens[end].low == "'s" and not is_be(tokens, end):
        return Subject(relation, end + 1, possessed=True)
    name, end = _apposition(tokens, end)
    mentions = ((relation, name),)
    if end + 1 < len(tokens) and tokens[end].low in ("and", "&") and tokens[end + 1].low == "i":
        return Subject("user", end + 2, mentions=mentions, together=True)
    if end < len(tokens) and _is_finite(
        tokens[_past_adverbs(tokens, end)] if _past_adverbs(tokens, end) < len(tokens) else tokens[end]
    ):
        return Subject(relation, end, mentions=mentions)
    return None


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


def is_be(tokens: Sequence[Token], at: int) -> bool:
    """Whether the 's at `at` is short for "is" or "has", and no possessive."""
    before = tokens[at - 1].low if at else ""
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    if before in _NOMINATIVES | _OTHERS | {"who", "what", "that", "here", "where", "how"}:
        return True
    if after is None:
        return False
    if before in (
        "name",
        "nickname",
        "birthday",
        "number",
        "email",
        "color",
        "goal",
        "dream",
        "job",
        "pronouns",
        "timezone",
        "zone",
    ):
        return after.low not in ("day",)
    return after.kind == "number" or after.low in lexicon("be_after") or after.low in lexicon("nationalities")


def _verb_within(tokens: Sequence[Token], at: int, most: int) -> bool:
    for i in range(at, min(at + most, len(tokens))):
        token = tokens[i]
        if token.kind not in ("word", "number") or token.low in ("and", "but", "who", "which", "that"):
            return False
        if i > at and (
            token.low in ("is", "are", "was", "were", "has", "have", "include", "includes", "call", "fall", "falls")
            or (token.low == "'s" and is_be(tokens, i))
            or (i > at + 1 and _is_finite(token) and token.low not in ("'s", "no"))
        ):
            return True
        if i == at + 1 and _is_finite(token) and token.low not in ("'s", "no"):
            return True
    return False


def _is_finite(token: Token) -> bool:
    if token.kind != "word" or token.capital:
        return False
    return (
        token.base in _AUXILIARIES
        or (is_verb(token.base) and not token.low.endswith("ing"))
        or token.low.endswith("ed")
        or token.low in lexicon("reporters")
    )


# --- what is asserted --------------------------------------------------------------------------------------------


def opens_only(head: Sequence[Token]) -> bool:
    """Whether nothing before the subject says more than "well", "as you know" or when and how often."""
    lows = [token.low for token in head if token.kind == "word" or token.kind == "number"]
    at = 0
    while at < len(lows):
        size = frequency_length(lows, at) or lexicon("openers").length_at(lows, at)
        if not size and lows[at] not in lexicon("skip"):
            return _is_circumstance(lows[at:])
        at += size or 1
    return True


def _is_circumstance(lows: Sequence[str]) -> bool:
    prepositions = (
        "in",
        "on",
        "at",
        "for",
        "during",
        "after",
        "before",
        "since",
        "by",
        "these",
        "every",
        "most",
        "this",
        "last",
        "next",
        "one",
        "with",
        "from",
        "as",
        "outside",
    )
    return (
        lows[0] in prepositions
        and len(lows) <= 7
        and not any(low in lexicon("reporters") or low in lexicon("blockers") for low in lows)
    )
