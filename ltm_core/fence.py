"""The fence around what is remembered in a prompt: making it, and finding it again so that it is never learned."""

from __future__ import annotations

import re
from collections.abc import Iterable

FENCE = "long_term_memory"

# Models and clients echo a tag in other cases, with spaces, as HTML entities, or cut off at the end of the text.
_TAG = re.compile(
    rf"(?:<|&lt;)\s{{0,3}}(/?)\s{{0,3}}{FENCE}\b(?:[^<>&\n]|&(?!gt;))*(?:(?:>|&gt;)(?:\r?\n)?)?", re.IGNORECASE
)


def fenced(part: str, heading: str, lines: Iterable[str]) -> str:
    """One block for a prompt: `lines`, each ended by a new line and free of angle brackets, inside a labelled fence.

    >>> print(fenced("profile", "Reference only.", ["- User is called Sarah.\\n"]), end="")
    <long_term_memory part="profile">
    Reference only.
    - User is called Sarah.
    </long_term_memory>
    """
    return f'<{FENCE} part="{part}">\n{heading}\n{"".join(lines)}</{FENCE}>\n'


def strip_injected(text: str) -> str:
    """`text` without the blocks that recall put into it.

    A block that lost one of its tags reaches to that end of the text: rather learn too little than from ourselves.

    >>> strip_injected("Hello " + fenced("recalled", "Reference only.", ["- User lives in Oslo.\\n"]) + "there")
    'Hello there'
    """
    kept: list[str] = []
    start, outside = 0, True
    for tag in _TAG.finditer(text):
        if tag[1]:
            start, outside = tag.end(), True
        elif outside:
            kept.append(text[start : tag.start()])
            outside = False
    if outside:
        kept.append(text[start:])
    return "".join(kept)
