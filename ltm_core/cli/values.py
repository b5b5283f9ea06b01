"""Reading what people type or export: JSON where it is JSON."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def value_of(text: str) -> Any:
    """`text` as JSON if it is JSON, else the text itself.

    >>> value_of('["tea", 2]'), value_of("dark"), value_of("NaN")
    (['tea', 2], 'dark', 'NaN')
    """
    try:
        return strict_json(text)
    except (ValueError, RecursionError):
        return text


def strict_json(text: str) -> Any:
    """JSON without the NaN and Infinity that Python would let pass. Raises `ValueError` or `RecursionError`."""
    return json.loads(text, parse_constant=_no_json)


def _no_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
