"""Summarising without a model: the sentences that say most of what was talked about, in the order they were said.

Sentences are chosen as SumBasic does (Nenkova and Vanderwende, 2005): by the mean frequency of their words in what is
summarised, each choice squaring the frequencies of its words so that the next says something else. What people state of
themselves weighs more than what an assistant answers; questions, exclamations and scraps weigh less.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..model import Message
from ..policies import Summarised, Summarising
from ..text.words import STOP_WORDS, terms, words

SENTENCE_CHARS = 300
TOPICS = 5
QUESTIONS = 3
MOST_SENTENCES = 2_000
PRIOR = 4  # words that a sentence is thought to have besides, so that the shortest are not the best
CARRIED = 2.0  # how much more a word of the last summary counts than one that was said just now
STATED, OWN, ASKED, CALLED, SCRAP = 1.5, 1.3, 0.4, 0.6, 0.3

_SELF = frozenset({"i", "we", "my", "our", "me", "us"})

_ENDS = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True, slots=True)
class _Sentence:
    """One sentence: where it stands, as it will be shown, its content words, and how much it weighs."""

    place: int
    line: str
    terms: Sequence[str]
    weight: float
    carried: bool = False


def summarise_by_words(given: Summarising) -> Summarised:
    """A summary made of the sentences themselves. Deterministic; costs by what was said since the last one."""
    sentences = list(_sentences(given))
    chosen = _chosen(sentences, given)
    text = "\n".join(sentence.line for sentence in sorted(chosen, key=lambda sentence: sentence.place))
    return Summarised(text, _topics(given), _open_questions(given.messages))


def _sentences(given: Summarising) -> Iterator[_Sentence]:
    names = {term for message in given.messages for term in terms(_speaker(message))}
    earlier = given.previous.text.splitlines() if given.previous is not None else []
    for place, line in enumerate(earlier):
        yield _Sentence(place, line, _content(line.partition(": ")[2] or line, names), STATED * OWN, carried=True)
    said = ((message, text) for message in given.messages for text in _spoken(message))
    for place, (message, text) in enumerate(said, len(earlier)):
        content = _content(text, names)
        yield _Sentence(place, f"{_speaker(message)}: {text}", content, _weight(message, text, content))


def _content(text: str, names: Iterable[str]) -> list[str]:
    """What a sentence is about; whom it is said to does not count."""
    return [term for term in terms(text) if term not in names]


def _spoken(message: Message) -> Iterator[str]:
    """The sentences of what was said; what tools answered is no speech of anybody."""
    if message.role in ("user", "assistant"):
        pieces = (piece.strip() for piece in _ENDS.split(message.text))
        yield from (piece[:SENTENCE_CHARS] for piece in pieces if piece)


def _speaker(message: Message) -> str:
    return message.name or message.role.capitalize()


def _weight(message: Message, text: str, content: Sequence[str]) -> float:
    weight = STATED if message.role == "user" else 1.0
    weight *= OWN if not _SELF.isdisjoint(words(text)) else 1.0
    weight *= ASKED if text.endswith(("?", "？")) else CALLED if text.endswith("!") else 1.0
    return weight * (SCRAP if len(set(content)) < 3 else 1.0)


def _chosen(sentences: Sequence[_Sentence], given: Summarising) -> list[_Sentence]:
    shares, room = _shares(sentences), given.max_tokens
    fitting = [sentence for sentence in sentences if sentence.terms][-MOST_SENTENCES:]
    prices = {sentence.place: given.count_tokens(f"{sentence.line}\n") for sentence in fitting}
    chosen: list[_Sentence] = []
    while fitting := [each for each in fitting if prices[each.place] <= room and each not in chosen[-1:]]:
        chosen.append(max(fitting, key=lambda sentence: _score(sentence, shares)))
        room -= prices[chosen[-1].place]
        for term in set(chosen[-1].terms):
            shares[term] **= 2
    return chosen


def _shares(sentences: Iterable[_Sentence]) -> dict[str, float]:
    counts: defaultdict[str, float] = defaultdict(float)
    for sentence in sentences:
        for term in sentence.terms:
            counts[term] += CARRIED if sentence.carried else 1.0
    total = sum(counts.values())
    return {term: count / total for term, count in counts.items()}


def _score(sentence: _Sentence, shares: dict[str, float]) -> float:
    own = set(sentence.terms)
    return sentence.weight * sum(shares[term] for term in own) / (len(own) + PRIOR)


def _topics(given: Summarising) -> list[str]:
    """The words that were used most, as they were written first; those of the last summary live on if they recur."""
    names = {term for message in given.messages for term in terms(_speaker(message))}
    known = given.previous.topics if given.previous is not None else []
    shown = {term: topic for topic in known for term in terms(topic)}
    counts = Counter(dict.fromkeys(shown, 2))
    for word in words(" ".join(text for message in given.messages for text in _spoken(message))):
        if word not in STOP_WORDS and not word.isdecimal():
            for term in _content(word, names):
                counts[term] += 1
                shown.setdefault(term, word)
    return [shown[term] for term, count in counts.most_common(TOPICS) if count > 1]


def _open_questions(messages: Sequence[Message]) -> list[str]:
    """What the user asked last, where nobody has answered."""
    talk = [message for message in messages if message.role in ("user", "assistant") and message.text.strip()]
    if not talk or talk[-1].role != "user":
        return []
    return [text for text in _spoken(talk[-1]) if text.endswith(("?", "？"))][-QUESTIONS:]
