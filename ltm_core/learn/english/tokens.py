"""One scanner for what people type: words, numbers, punctuation; contractions undone, foreign words hidden.

Text in quotes, code, quoted lines and blocks of recalled memory are not the speaker's own words. They are hidden before
anything is read, so that no step after this one can mistake them for a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

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

_CONTRACTIONS = {"'m": "am", "'re": "are", "'ve": "have", "'ll": "will", "'d": "would", "'s": "'s"}
_SPELLED = {
    "im": ("i", "am"), "ive": ("i", "have"), "dont": ("do", "not"), "doesnt": ("does", "not"), "cant": ("can", "not"),
    "cannot": ("can", "not"), "isnt": ("is", "not"), "arent": ("are", "not"), "wont": ("will", "not"),
    "didnt": ("did", "not"), "gonna": ("going", "to"), "wanna": ("want", "to"), "ain't": ("am", "not"),
    "can't": ("can", "not"), "won't": ("will", "not"), "shan't": ("shall", "not"), "gotta": ("have", "to"),
    "havent": ("have", "not"), "&": ("and",), "hes": ("he", "is"), "shes": ("she", "is"),
    "becuase": ("because",), "bc": ("because",), "cuz": ("because",), "cause": ("because",), "favourite": ("favorite",),
    "fave": ("favorite",), "fav": ("favorite",), "b-day": ("birthday",), "colour": ("color",), "luv": ("love",),
    "bday": ("birthday",), "n't": ("not",),
}  # fmt: skip
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
    for found in _TOKEN.finditer(hide_foreign(text)):
        kind, start = str(found.lastgroup), found.start()
        raw = found.group()
        yield from (
            _words(raw, start) if kind == "word" or raw == "&" else [Token(raw, raw.lower(), kind, start, found.end())]
        )


def _words(raw: str, start: int) -> Iterator[Token]:
    low = raw.lower().replace("’", "'")
    end = start + len(raw)
    if low in _SPELLED:
        for part in _SPELLED[low]:
            text = raw if len(_SPELLED[low]) == 1 else part
            yield Token(text, part, "word", start, end)
        return
    for at, tail in _endings(low):
        yield Token(raw[:at], low[:at], "word", start, start + at)
        yield Token(raw[at:], tail, "word", start + at, end)
        return
    yield Token(raw, low, "word", start, end)


def _endings(low: str) -> Iterator[tuple[int, str]]:
    if low.endswith("n't") and len(low) > 3:
        yield len(low) - 3, "not"
    at = low.rfind("'")
    if at > 0 and low[at:] in _CONTRACTIONS:
        yield at, _CONTRACTIONS[low[at:]]
