"""What is asserted and what is not: questions, wishes, stories, jokes, and the words of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .clauses import Part, opens_only
from .labels import LABELS
from .lexicon import lexicon
from .sentences import Sentence

_WEAK_FICTION = lexicon("near_misses", "weak_fiction")


_STORIES = frozenset(
    [
        "story",
        "scene",
        "script",
        "dialogue",
        "monologue",
        "song",
        "poem",
        "novel",
        "screenplay",
        "character",
        "narrator",
        "protagonist",
        "fiction",
        "limerick",
        "haiku",
        "sketch",
    ]
)


_WRITES = frozenset(["write", "draft", "create", "generate", "compose", "tell", "continue", "invent"])


def begins_fiction(lows: list[str]) -> bool:
    """Whether from here on the words belong to a story, a game or a text to work on."""
    if ":" in lows[:9] and _orders_text(lows[: lows.index(":")]):
        return True
    for at in range(len(lows)):
        size = lexicon("fiction").length_at(lows, at)
        if size and (size > 1 or lows[at] not in _WEAK_FICTION or is_order(lows, at)):
            return True
        if lows[at] in _WRITES and is_order(lows, at) and _STORIES & set(lows[at:]):
            return True
    return False


def _orders_text(lows: list[str]) -> bool:
    """Whether what stands before a colon asks for work on the text after it: "Fix the grammar: …"."""
    return any(low in lexicon("imperatives", "on_text") and is_order(lows, at) for at, low in enumerate(lows))


def is_order(lows: list[str], at: int) -> bool:
    """Whether an order can begin at `at`: nothing but openers stands before."""
    return (
        all(
            low in lexicon("openers")
            or low in ("can", "could", "please", "you", ",", "help", "me", "let", "'s", "would", "to", "we", "will")
            for low in lows[:at]
        )
        and at < 8
    )


def is_joke(lows: list[str]) -> bool:
    """Whether the sentence is marked as a joke or as sarcasm."""
    return any(lexicon("jokes").length_at(lows, at) for at in range(len(lows)))


def is_english(sentence: Sentence) -> bool:
    """Whether the sentence is not plainly of another language."""
    lows = [token.low for token in sentence.tokens if token.kind == "word"]
    foreign = len({low for low in lows if low in lexicon("foreign_words")})
    english = len({low for low in lows if low in lexicon("function_words")} - {"i", "am", "in", "no", "a", "me"})
    return foreign < 2 or english > foreign


def is_anothers(sentence: Sentence) -> bool:
    """Whether the line is what another one says: "Bob: I live in Rome", "my friend says: I live in Rome"."""
    tokens = sentence.tokens
    if len(tokens) < 3 or tokens[0].kind != "word":
        return False
    if tokens[1].text == ":":
        return tokens[0].low not in LABELS and tokens[0].low != "remember"
    lows = [token.low for token in tokens[:MAX_LEAD]]
    lead = lows[: lows.index(":")] if ":" in lows else []
    return lexicon_any("reporters", lead) and not {"i", "we"} & set(lead)


MAX_LEAD = 10  # words


_HARMLESS_IFS = frozenset(
    [
        "helps",
        "matters",
        "know",
        "curious",
        "wondering",
        "wondered",
        "asking",
        "relevant",
        "ok",
        "okay",
        "possible",
        "important",
    ]
)


def lexicon_any(drawer: str, lows: Iterable[str]) -> bool:
    """Whether one of the words stands in the drawer."""
    return any(low in lexicon(drawer) for low in lows)


def asks_apart(pieces: Sequence[Part]) -> bool:
    """Whether the question of a sentence stands in a clause of its own, so that the others are told."""
    last = pieces[-1]
    asking = [part for part in pieces if _is_question(part)]
    if not asking:
        return False
    return (
        not (last in asking and len(last.own) <= 3 and last.own[0].low in lexicon("questions", "tags"))
        or len(asking) > 1
    )


def _is_question(part: Part) -> bool:
    if not part.own:
        return False
    words = [token.low for token in (*part.head, *(part.own if part.subject is None else part.own[:0]))]
    for low in words:
        if low in lexicon("questions"):
            return True
        if low not in lexicon("openers") and low != ",":
            return False
    return False


def supposes(part: Part) -> bool:
    """Whether the clause is supposed, wished or imagined."""
    words = [*part.head, *part.own[:5]] if part.subject is not None else list(part.own[:6])
    lows = [token.low for token in words]
    if lows[:1] == ["say"] and part.head:
        return True
    if "not" in lows and "wish" not in lows and lexicon_any("blockers", lows) and "if" not in lows:
        return True
    return lexicon_any("blockers", lows)


def is_when(part: Part) -> bool:
    """Whether the clause only says when: "when I am home"."""
    words = [*part.head, *part.own]
    first = next(
        (token.low for token in words if token.low not in lexicon("openers") or token.low in lexicon("temporal")), ""
    )
    return (
        first in ("when", "whenever", "once", "until", "till", "before", "after", "while")
        and len(words) > 1
        and words[1].low not in ("upon", "a", "work", "breakfast", "lunch", "dinner", "that")
    )


def only_leads(part: Part) -> bool:
    """Whether a clause only introduces the next one: "I think", "I told you", "when I am home"."""
    if is_when(part):
        return True
    lows = [token.low for token in part.own if token.kind == "word"]
    if "not" in lows:
        return False
    if not lows or opens_only(part.own):
        return True
    rest = lows[1:] if lows[0] in ("i", "we") else ["?"]
    return all(low in lexicon("openers") or low in lexicon("skip") or low in _SAYING for low in rest)


_SAYING = frozenset(["have", "am", "you", "'s", "should", "would", "to", "must", "before", "earlier"])


def reports(part: Part | None) -> bool:
    """Whether the clause introduces what somebody says: "she told me"."""
    return part is not None and lexicon_any("reporters", (token.low for token in part.own))


def is_harmless_if(part: Part) -> bool:
    """Whether an "if …" supposes nothing: "if it helps"."""
    return len(part.own) < 7 and bool(_HARMLESS_IFS & {token.low for token in part.own})


def is_hedged(part: Part) -> bool:
    """Whether the speaker is not sure: "I think", "probably"."""
    words = [*part.head, *part.own[:1], *part.body[:3]]
    return lexicon_any("hedges", (token.low for token in words))
