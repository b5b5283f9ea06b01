"""Words as people type them, brought to the spelling that the tables use."""

from __future__ import annotations

from collections.abc import Iterator

_CONTRACTIONS = {"'m": "am", "'re": "are", "'ve": "have", "'ll": "will", "'d": "would", "'s": "'s"}
_SPELLED = {
    "im": ("i", "am"), "ive": ("i", "have"), "dont": ("do", "not"), "doesnt": ("does", "not"), "cant": ("can", "not"),
    "cannot": ("can", "not"), "isnt": ("is", "not"), "arent": ("are", "not"), "wont": ("will", "not"),
    "didnt": ("did", "not"), "gonna": ("going", "to"), "wanna": ("want", "to"), "ain't": ("am", "not"),
    "can't": ("can", "not"), "won't": ("will", "not"), "shan't": ("shall", "not"), "gotta": ("have", "to"),
    "havent": ("have", "not"), "&": ("and",), "hes": ("he", "is"), "shes": ("she", "is"),
    "becuase": ("because",), "bc": ("because",), "cuz": ("because",), "cause": ("because",), "favourite": ("favorite",),
    "fave": ("favorite",), "fav": ("favorite",), "b-day": ("birthday",), "colour": ("color",), "luv": ("love",),
    "bday": ("birthday",), "n't": ("not",), "u": ("you",), "ur": ("your",), "youre": ("you", "are"),
    "theyre": ("they", "are"), "wasnt": ("was", "not"), "werent": ("were", "not"), "couldnt": ("could", "not"),
    "wouldnt": ("would", "not"), "shouldnt": ("should", "not"), "hasnt": ("has", "not"), "hadnt": ("had", "not"),
    "thats": ("that", "is"), "whats": ("what", "is"), "weve": ("we", "have"), "youve": ("you", "have"),
    "theyve": ("they", "have"), "lets": ("let", "'s"), "wheres": ("where", "is"), "theres": ("there", "is"),
    "coz": ("because",), "favs": ("favorites",), "rlly": ("really",), "rly": ("really",), "tz": ("timezone",),
    "ppl": ("people",), "pls": ("please",), "plz": ("please",), "tmrw": ("tomorrow",), "tmr": ("tomorrow",),
}  # fmt: skip


def spelled(raw: str) -> Iterator[tuple[int, int, str, str]]:
    """The words that `raw` stands for, as (start, end, as written, folded): "Don't" is "Do" and "not"."""
    low = raw.lower().replace("’", "'")
    if parts := _SPELLED.get(low):
        yield from ((0, len(raw), raw if len(parts) == 1 else part, part) for part in parts)
        return
    at, tail = _ending(low)
    yield 0, at, raw[:at], low[:at]
    if tail:
        yield at, len(raw), raw[at:], tail


def _ending(low: str) -> tuple[int, str]:
    if low.endswith("n't") and len(low) > 3:
        return len(low) - 3, "not"
    at = low.rfind("'")
    return (at, _CONTRACTIONS[low[at:]]) if at > 0 and low[at:] in _CONTRACTIONS else (len(low), "")
