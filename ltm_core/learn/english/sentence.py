"""One sentence, read clause by clause: what is told, by whom, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .asserted import asks_apart, is_harmless_if, is_hedged, is_when, only_leads, reports, supposes
from .clause import Clause
from .clauses import Part, opens_only, parts
from .feelings import feeling, occasion
from .filling import filled
from .instructions import as_written, conditional_order, polite_order, standing_order, wanted_of_you
from .lexicon import lexicon
from .negation import prepared, with_instead
from .openings import is_joint, may_lack_subject, past_joint, past_openers
from .said import HEDGED, SURE, Heard, Said
from .sentences import Sentence
from .statements import Match, match
from .subjects import Subject
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
    others: bool = False  # an order that follows would carry on what somebody does
    whole: bool = False

    def read(self) -> None:
        """Hand every fact of the sentence to `heard`."""
        tokens = self.sentence.tokens
        if self._obeys(polite_order(tokens) if self.sentence.question else conditional_order(tokens)):
            return
        pieces = list(parts(self.sentence, self.heard.people))
        if self.sentence.question and not asks_apart(pieces):
            self.blocked = True
            return
        for place, part in enumerate(pieces):
            if not self._read_feeling(part, pieces[max(0, place - 2) : place]):
                self._read_part(part, pieces[place - 1] if place else None)

    def _read_feeling(self, part: Part, before: Sequence[Part]) -> bool:
        """Hear "I hate it when people are late"."""
        about = next((other for other in reversed(before) if other.subject is not None), None)
        value = feeling(about) if about is not None and is_when(part) else ""
        if about is None or not value or {"this", "that", "you"} & {token.low for token in part.own}:
            return False
        words = [*part.head, *part.own]
        who, how = (self.heard.quote(piece) for piece in occasion(words))
        item = f"{who} being {how}" if how else who
        self._say(Said("user", "opinion", item.lower(), value, self.heard.quote([*about.own, *words])))
        return True

    def _read_part(self, part: Part, before: Part | None) -> None:
        self._observe(part, before)
        self.whole = False
        if self.blocked or not self.told or not part.own:
            return
        if part.subject is None:
            self._without_subject(part)
        elif opens_only(part.head):
            intends = not _INTENDING.isdisjoint(token.low for token in part.own[:4])
            self.others = part.subject.about != "user" or intends
            self.last = part.subject
            self._with_subject(part, part.subject)
        else:
            self.others = True
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
            self.told = self.whole and _begins_anew(part, before)
            self.blocked = reports(before)
        self.told = self.told and not is_when(part)
        self.hedged = is_hedged(part) or (before is not None and only_leads(before) and is_hedged(before))

    def _with_subject(self, part: Part, subject: Subject) -> None:
        for relation, name in subject.mentions:
            if name or subject.together:
                self.heard.meet(relation, name or "yes", self.heard.quote(part.own))
        if subject.about == "user" and self._obeys(wanted_of_you(part.body)):
            return
        if subject.about is None:
            self._read_clause(part.own, "user", part)
        else:
            opening = _opener("my" if subject.possessed else "i", part.own[0])
            self._read_clause([opening, *part.body], subject.about, part)

    def _without_subject(self, part: Part) -> None:
        if part.own[0].low == "no" and self._instructed(part.own):
            return
        own = past_openers(part.own)
        lasting = lexicon("always").length_at([token.low for token in own])
        if lasting and own[lasting : lasting + 1] and own[lasting].low == "call":
            own = own[lasting:]
        if self.last is None and may_lack_subject(own):
            self.last = Subject("user", 0)
        goes_on = part.joined in _CONTINUED and self.others
        if (goes_on or not self._instructed(own)) and not self._read_clause(own, "user", part):
            self._complete(own, part)

    def _complete(self, own: Sequence[Token], part: Part) -> None:
        """Read a clause without a subject as one about the last one, or about the speaker."""
        if part.joined in _CONTINUED and self.last is not None and self.last.about:
            self._continue(own, self.last.about, part)
        elif self.heard.profile or (may_lack_subject(own) and part.joined in ("start", "break", "comma")):
            self.last = Subject("user", 0)
            self._continue(own, "user", part)

    # -- one clause

    def _read_clause(self, tokens: Sequence[Token], about: str, part: Part) -> bool:
        clause = prepared(self.heard.text, tokens, self.heard.now, part.head)
        if clause is None or not clause.words:
            return False
        fitted = match(clause) or with_instead(clause)
        if fitted is None:
            return False
        self.whole = fitted.end == len(clause.words)
        self._tell(clause, fitted, about, part)
        self._go_on(clause, fitted, about, part)
        return True

    def _go_on(self, clause: Clause, fitted: Match, about: str, part: Part) -> None:
        """Read what follows the statement in the same clause: "… married, with one son"."""
        rest, joined = past_joint(clause.words[fitted.end :])
        if not rest or len(rest) == len(clause.words) or (rest[0].low in _EXPLAINS and not _is_and(clause, fitted.end)):
            return
        verb = clause.opening[1]
        if (
            self.last is not None
            and self.last.about == about
            and self._continue(rest, about, part, verb, joined=joined and _is_and(clause, fitted.end))
        ):
            return
        further = next((at for at in range(1, len(rest)) if is_joint(rest[at - 1])), 0)
        if further:
            self._continue(rest[further:], about, part, verb, joined=rest[further].low in _WHERE)

    def _continue(
        self, rest: Sequence[Token], about: str, part: Part, verb: str = "be", *, joined: bool = True
    ) -> bool:
        """Try the words as the rest of a statement about the same person."""
        if self._infinite(part) and not rest[0].low.endswith("s"):
            return False
        person = _opener("i", rest[0])
        again = [person, _opener("am" if verb == "be" else verb, rest[0])]
        if verb == "be" or self.heard.profile:
            tries = [[person], [person, _opener("am", rest[0])], []]
        else:
            tries = [[person], [], again] if joined else [[person], []]
        if verb != "be" and rest[0].low.endswith("ing"):
            tries.append([person, _opener("am", rest[0])])
        if self.heard.profile and rest[0].low in lexicon("places"):
            tries.insert(0, [person, _opener("live", rest[0]), _opener("in", rest[0])])
        return any(self._read_clause([*opening, *rest], about, part) for opening in tries)

    def _infinite(self, part: Part) -> bool:
        lows = [token.low for token in part.own[:6]]
        return bool({"would", "could", "should", "might", "will", "want", "hope", "plan", "wish"} & set(lows))

    def _tell(self, clause: Clause, fitted: Match, about: str, part: Part) -> None:
        sure = HEDGED if self.hedged and self.confidence == SURE else self.confidence
        quote = self.heard.quote(part.own)
        for told in fitted.statement.ended if clause.ended else fitted.statement.gives:
            for name, item, value in filled(told, fitted):
                day = clause.date.day if name == "plan" and clause.date else None
                whom, _, kind = name.rpartition("/")
                self._say(Said(whom or about, kind, item, value, quote, told.retract, sure, day))

    def _say(self, fact: Said) -> None:
        self.found += 1
        self.heard.add(fact)

    # -- orders

    def _obeys(self, order: Sequence[Token]) -> bool:
        """Take an order that is meant to last, if it is one."""
        if not order:
            return False
        text = as_written(self.heard.quote(order))
        self._say(Said("user", "instruction", text.lower(), text, text, confidence=self.confidence))
        return True

    def _instructed(self, own: Sequence[Token]) -> bool:
        lows = [token.low for token in own]
        if lexicon("always").length_at(lows) == len(lows):
            self.standing = True
            return False
        whole = self._with_occasion(own) if lows[0] in ("always", "never") else own
        return not self.sentence.question and self._obeys(standing_order(whole, standing=self.standing))

    def _with_occasion(self, own: Sequence[Token]) -> Sequence[Token]:
        """The order together with the "when I ask about …" that follows it."""
        after = [token for token in self.sentence.tokens if token.start >= own[-1].end]
        return [*own, *after] if after and after[0].low in ("when", "whenever") else own


_INTENDING = frozenset(["will", "might", "plan", "planning", "hope", "trying", "try"])
_WHERE = frozenset(["with", "at", "for", "in", "currently", "now"])
_EXPLAINS = frozenset(["like", "that", "which", "who", "whose", "where", "to", "due"])


def _is_and(clause: Clause, at: int) -> bool:
    return any(low in ("and", "but", "-", "–", "—") for low in clause.lows[at : at + 2])


def _begins_anew(part: Part, before: Part) -> bool:
    """Whether a full statement follows another without as much as a comma: "im sarah i live in lisbon"."""
    subjects = (before.subject, part.subject)
    speaks = all(subject is not None and subject.about == "user" for subject in subjects)
    return speaks and part.joined == "" and not part.head


def _opener(word: str, beside: Token) -> Token:
    return Token(word, word, "word", beside.start, beside.start)
