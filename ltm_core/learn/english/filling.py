"""The facts of a statement: its entries with the slots filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .statements import Match, Told


def filled(told: Told, fitted: Match) -> Iterator[tuple[str, str | None, Any]]:
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
