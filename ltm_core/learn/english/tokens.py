"""One scanner for what people type: words, numbers, punctuation; contractions undone, foreign words hidden.

Text in quotes, code, quoted lines and blocks of recalled memory are not the speaker's own words. They are hidden before
anything is read, so that no step after this one can mistake them for a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .lexicon import canonical, lexicon
from .spelling import spelled

HIDDEN = "\ufffc"

_FOREIGN = re.compile(
    r"""
      <long_term_memory\b.*?(?:</long_term_memory>|\Z)     # what an earlier recall put into the prompt
    | ```.*?(?:```|\Z) | ~~~.*?(?:~~~|\Z) | `[^`\n]*`?      # code
    | ^[ \t]*>[^\n]*                                        # quoted lines of mail and Markdown
    | (?<!\d)"(?:[^"\n]|\n(?!\s*\n))*"?                     # quotations; an open one ends with its paragraph
    | [“„](?:[^”“\n]|\n(?!\s*\n))*[”“]? | «[^»]*»? | ”(?:[^”\n]|\n(?!\s*\n))*”
    | (?<!\w)['‘](?=\w)(?:[^'’\n]|['’](?=\w)){0,400}['’](?!\w)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE | re.IGNORECASE,
)

_TOKEN = re.compile(
    rf"""
      (?P<break>\n\s*)
    | (?P<hidden>{HIDDEN}+)
    | (?P<address>[\w.+-]{{1,64}}@[\w-]{{1,64}}(?:\.[\w-]{{1,63}}){{1,5}} | https?://\S+)
    | (?P<number>\+?\d{{1,24}}(?:[-.,:/]\d{{1,12}}){{0,6}}(?:st|nd|rd|th|am|pm|k|yo|yrs?)?\b)
    | (?P<word>(?:[A-Za-z]\.){{2,}}
        | (?:Dr|Mr|Mrs|Ms|St|Mt|Prof|Jr|Sr)\.
        | [A-Z]\.(?=\s[A-Z][a-z])
        | [^\W\d_](?:\w|[.](?=[a-z]{{2}}))*(?:['’](?=\w)\w+|-\w+|&\w+)*(?:(?<=s)['’](?=\s[A-Z])|[+#]+)?)
    | (?P<end>[.!?…]+)
    | (?P<comma>,)
    | (?P<stop>[;:()\[\]{{}}—–|*•→]|-(?=\s))
    | (?P<symbol>[^\s])
    """,
    re.VERBOSE,
)

_BASES = {
    "am": "be", "is": "be", "are": "be", "has": "have", "does": "do", "goes": "go",
    "mum": "mom", "mummy": "mom", "mama": "mom", "loving": "love",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text: as it was written, folded for comparing, what kind it is and where it stands."""

    text: str
    low: str
    kind: str
    start: int
    end: int

    @property
    def base(self) -> str:
        """The word without the ending of the third person: `lives` is `live`, `is` is `be`."""
        return base(self.low)

    @property
    def supplied(self) -> bool:
        """Whether the speaker left it out: the "I am" of "(I am) Sarah, 34"."""
        return self.start == self.end

    @property
    def capital(self) -> bool:
        """Whether it is written like a name."""
        return self.text[:1].isupper() and self.low != "i"


@lru_cache(maxsize=16384)
def base(low: str) -> str:
    """`low` without the ending of the third person."""
    if low in _BASES:
        return _BASES[low]
    if low.endswith("ies") and len(low) > 4:
        return low[:-3] + "y"
    if low.endswith(("sses", "shes", "ches", "xes", "zes")):
        return low[:-2]
    if low.endswith("s") and not low.endswith(("ss", "us", "is", "'s")) and len(low) > 3:
        return low[:-1]
    return low


def hide_foreign(text: str) -> str:
    """`text` of the same length, with everything hidden that the speaker only passes on."""
    return _FOREIGN.sub(lambda found: HIDDEN * len(found.group()), text)


def scan(text: str) -> Iterator[Token]:
    """The tokens of `text`, in order, in time linear in its length."""
    tokens = list(_scanned(text))
    for place, token in enumerate(tokens):
        if _lacks_apostrophe(tokens, place):
            cut = token.end - 1
            yield Token(token.text[:-1], token.low[:-1], "word", token.start, cut)
            yield Token(token.text[-1:], "'s", "word", cut, token.end)
        else:
            yield token


def _scanned(text: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(hide_foreign(text)):
        kind, start, raw = str(found.lastgroup), found.start(), found.group()
        if kind == "word" or raw == "&":
            yield from (Token(shown, low, "word", start + at, start + end) for at, end, shown, low in spelled(raw))
        else:
            yield Token(raw, raw.lower(), kind, start, found.end())


def _lacks_apostrophe(tokens: list[Token], place: int) -> bool:
    """Whether it is the "names" of "my names tom", or the "husbands" of "my husbands name"."""
    if not 0 < place < len(tokens) - 1 or tokens[place - 1].low not in ("my", "our"):
        return False
    stem, after = tokens[place].low.removesuffix("s"), tokens[place + 1].low
    if stem == tokens[place].low:
        return False
    if stem in ("name", "birthday"):
        return base(after) not in ("be", "and", "have", ",")
    known = (stem,) in canonical("relations") or stem in lexicon("species")
    return known and after in ("name", "birthday", "a", "an", "called", "named", "from")
