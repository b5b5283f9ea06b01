"""One sentence, read clause by clause: what is told, by whom, and how surely."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .asserted import asks_apart, is_harmless_if, is_hedged, is_when, only_leads, reports, supposes
from .clause import Clause
from .clauses import Part, Sentence, Subject, opens_only, parts
from .lexicon import lexicon
from .negation import prepared, with_instead
from .orders import is_standing
from .said import HEDGED, SURE, Heard, Said
from .statements import Match, Told, match
from .tokens import Token

_CONTINUED = frozenset(["comma", "and"])


@dataclass(slots=True)
class SentenceReader:
    """Reads the clauses of one sentence; knows what of it is asserted."""

    heard: Heard
    sentence: Sentence
    confidence: float = SURE
    found: int = 0
    blocked: bool = False
    hedged: bool = False
    told: bool = True
    standing: bool = False
    last: Subject | None = None

    def read(self) -> None:
        """Hand every fact of the sentence to `heard`."""
        pieces = list(parts(self.sentence, self.heard.people))
        if self.sentence.question and not asks_apart(pieces):
            self.blocked = True
            return
        for place, part in enumerate(pieces):
            self._read_part(part, pieces[place - 1] if place else None)

    def _read_part(self, part: Part, before: Part | None) -> None:
        self._observe(part, before)
        if self.blocked or not self.told or not part.own:
            return
        if part.subject is None:
            self._without_subject(part)
        elif opens_only(part.head):
            self.last = part.subject
            self._with_subject(part, part.subject)
        else:
            self.last = None

    def _observe(self, part: Part, before: Part | None) -> None:
        """What the words around a clause do to it: suppose it, report it, hedge it."""
        self.told = True
        if supposes(part):
            self.blocked = not is_harmless_if(part)
            self.told = False
            return
        runs_on = before is not None and before.subject is not None and part.joined in ("", "that")
        if runs_on and before is not None and part.subject is not None and not only_leads(before):
            self.told = False
            self.blocked = reports(before)
        self.told = self.told and not is_when(part)
        self.hedged = is_hedged(part) or (before is not None and only_leads(before) and is_hedged(before))

    def _with_subject(self, part: Part, subject: Subject) -> None:
        for relation, name in subject.mentions:
            if name or subject.together:
                self.heard.meet(relation, name or "yes", self.heard.quote(part.own))
        if subject.about is None:
            self._read_clause(part.own, "user", part)
        else:
            opening = _opener("my" if subject.possessed else "i", part.own[0])
            self._read_clause([opening, *part.body], subject.about, part)

    def _without_subject(self, part: Part) -> None:
        own = _past_openers(part.own)
        lasting = lexicon("always").length_at([token.low for token in own])
        if lasting and own[lasting : lasting + 1] and own[lasting].low == "call":
            own = own[lasting:]
        instruction = self._instruction(own)
        if instruction:
            self._say(instruction)
        elif not self._read_clause(own, "user", part):
            self._complete(own, part)

    def _complete(self, own: Sequence[Token], part: Part) -> None:
        """Read a clause without a subject as one about the last one, or about the speaker."""
        if part.joined in _CONTINUED and self.last is not None and self.last.about:
            self._continue(own, self.last.about, part)
        elif self.heard.profile or (
            _first_word(own) in lexicon("elidable") and part.joined in ("start", "break", "comma")
        ):
            self._continue(own, "user", part)

    # -- one clause

    def _read_clause(self, tokens: Sequence[Token], about: str, part: Part) -> bool:
        clause = prepared(self.heard.text, tokens, self.heard.now, part.head)
        if clause is None or not clause.words:
            return False
        fitted = match(clause) or with_instead(clause)
        if fitted is None:
            return False
        self._tell(clause, fitted, about, part)
        self._go_on(clause, fitted, about, part)
        return True

    def _go_on(self, clause: Clause, fitted: Match, about: str, part: Part) -> None:
        """Read what follows the statement in the same clause: "… married, with one son"."""
        rest, joined = _past_joint(clause.words[fitted.end :])
        if not rest or len(rest) == len(clause.words):
            return
        verb = clause.opening[1]
        if (
            self.last is not None
            and self.last.about == about
            and self._continue(rest, about, part, verb, joined=joined)
        ):
            return
        further = next((at for at in range(1, len(rest)) if _is_joint(rest[at - 1])), 0)
        if further:
            self._continue(rest[further:], about, part, verb)

    def _continue(
        self, rest: Sequence[Token], about: str, part: Part, verb: str = "be", *, joined: bool = True
    ) -> bool:
        """Try the words as the rest of a statement about the same person."""
        if self._infinite(part) and not rest[0].low.endswith("s"):
            return False
        person = _opener("i", rest[0])
        again = [person, _opener("am" if verb == "be" else verb, rest[0])]
        if verb == "be" or self.heard.profile:
            tries = [[person, _opener("am", rest[0])], [person], []]
        else:
            tries = [[person], [], again] if joined else [[person], []]
        return any(self._read_clause([*opening, *rest], about, part) for opening in tries)

    def _infinite(self, part: Part) -> bool:
        lows = [token.low for token in part.own[:6]]
        return bool({"would", "could", "should", "might", "will", "want", "hope", "plan", "wish"} & set(lows))

    def _tell(self, clause: Clause, fitted: Match, about: str, part: Part) -> None:
        sure = HEDGED if self.hedged and self.confidence == SURE else self.confidence
        quote = self.heard.quote(part.own)
        for told in fitted.statement.ended if clause.ended else fitted.statement.gives:
            for name, item, value in _filled(told, fitted):
                day = clause.date.day if name == "plan" and clause.date else None
                self._say(Said(about, name, item, value, quote, told.retract, sure, day))

    def _say(self, fact: Said) -> None:
        self.found += 1
        self.heard.add(fact)

    # -- orders

    def _instruction(self, own: Sequence[Token]) -> Said | None:
        lows = [token.low for token in own]
        if lexicon("always").length_at(lows) == len(lows):
            self.standing = True
            return None
        if self.sentence.question or not (is_standing(lows) or (self.standing and lows[0] in lexicon("imperatives"))):
            return None
        words = own if lows[0] != "please" else own[1:]
        end = next((i for i, token in enumerate(words) if i and token.kind in ("stop", "hidden")), len(words))
        text = self.heard.quote(words[:end])
        text = re.sub(r"^(?:please|and|also|so|then)\s+", "", text, flags=re.IGNORECASE)
        text = re.sub(r"[,\s]+(?:please|thanks|thank you|ok|okay|lol)$", "", text, flags=re.IGNORECASE)
        return Said("user", "instruction", text.lower(), text, text, confidence=self.confidence)


def _opener(word: str, beside: Token) -> Token:
    return Token(word, word, "word", beside.start, beside.start)


def _past_openers(tokens: Sequence[Token]) -> Sequence[Token]:
    start = 0
    while start < len(tokens) - 1 and (tokens[start].low in lexicon("openers") or tokens[start].kind == "comma"):
        start += 1
    return tokens[start:]


def _first_word(tokens: Sequence[Token]) -> str:
    return next((token.low for token in tokens if token.low not in lexicon("skip")), "")


def _is_joint(token: Token) -> bool:
    return token.kind == "comma" or token.low in ("and", "but", "plus")


def _past_joint(rest: Sequence[Token]) -> tuple[Sequence[Token], bool]:
    """The words after "and", "but", a comma, and whether there was one."""
    start = 0
    while start < len(rest) and (_is_joint(rest[start]) or rest[start].low in _SMALL_JOINTS):
        start += 1
    return rest[start:], start > 0


_SMALL_JOINTS = frozenset(["also", "so", "or", "&", "then", "currently", "now"])


def _filled(told: Told, fitted: Match) -> Iterator[tuple[str, str | None, Any]]:
    """The facts of one entry, one for each thing that its slot holds."""
    if not told.value:
        yield from fitted.found.get(told.attribute, ())
        return
    found = dict(fitted.found)
    if "PREFERRED" in found and "THING" in found:
        found["PAIR"] = ["|".join(sorted([str(found["PREFERRED"][0]).lower(), str(found["THING"][0]).lower()]))]
    names = re.findall(r"\{(\w+)\}", f"{told.item or ''}{told.value}")
    if any(name not in found for name in names):
        return
    if told.attribute == "employer" and "student" in str(found.get("ROLE", "")):
        told = Told("education", told.value, told.value, told.retract)
    count = len(found[names[0]]) if names else 1
    for place in range(count):
        held = {name: found[name][min(place, len(found[name]) - 1)] for name in names}
        whole = re.fullmatch(r"\{(\w+)\}", told.value)
        value = held[whole[1]] if whole else told.value.format(**held)
        item = told.item.format(**held).lower() if told.item else None
        yield told.attribute, item, value
