"""Forms of English verbs: gerund and infinitive."""

from __future__ import annotations

import re

from .lexicon import canonical


def infinitive(text: str) -> str:
    """`text` with its first word, a gerund, in the infinitive: "flying to Osaka" is "fly to Osaka"."""
    word, space, rest = text.partition(" ")
    if also := re.match(r"and (\w+ing)\b(?! (?:and|is)\b)", rest):
        rest = f"and {infinitive(also[1])}{rest[also.end() :]}"
    verb = canonical("infinitives").get((word.lower(),)) or _without_ing(word)
    return f"{verb}{space}{rest}"


def _without_ing(word: str) -> str:
    stem = word.removesuffix("ing")
    if stem == word or len(stem) < 2:
        return word
    if len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in "lsz":
        return stem[:-1]
    if re.search(r"(?:[vcuz]|^[^aeiou]*[aeiou][^aeiouwxy]|[^e]at|[^n]g)$", stem) and stem[-2:] not in ("ng", "ow"):
        return stem + "e"
    return stem


def gerund(verb: str) -> str:
    """The -ing form of a verb, for things that people like to do."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")) and verb != "be":
        return verb[:-1] + "ing"
    if re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", verb) and verb[-1] != verb[-2] and not verb.endswith("k"):
        return verb + verb[-1] + "ing"
    return verb + "ing"
