"""Models by name, through LiteLLM: imported on first use only, since that takes seconds.

Nothing is contacted but the model: the price list is read from the package, telemetry and callbacks are off.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from typing import Any

from ..errors import ConfigurationError, MissingExtra
from . import Complete, Embed
from .metering import report_tokens

TIMEOUT_SECONDS = 60

# Uploaded by an attacker, with malware: https://github.com/BerriAI/litellm/issues/24518
_COMPROMISED = frozenset({"1.82.7", "1.82.8"})
# `no-log` keeps callbacks, our own adapters' too, from learning from what is asked here. Retries are the queue's.
_OPTIONS = {"timeout": TIMEOUT_SECONDS, "max_retries": 0, "no-log": True, "drop_params": True}


def completion(model: str, **options: Any) -> Complete:
    """A blocking `Complete` that asks `model`, such as "openai/gpt-4o-mini" or "ollama/llama3.2".

    `options` go to LiteLLM as they are: api_base, api_key, temperature, timeout (seconds, default 60), ….
    Raises `MissingExtra` without LiteLLM, `ConfigurationError` for a release of it that must not be run.
    """
    _check_installed()

    def complete(messages: Sequence[dict[str, Any]]) -> str:
        answer = _litellm().completion(model=model, messages=list(messages), **{**_OPTIONS, **options})
        usage = getattr(answer, "usage", None)
        if usage is not None and usage.total_tokens:
            report_tokens(usage.total_tokens)
        return answer.choices[0].message.content or ""

    return complete


def embedding(model: str, **options: Any) -> Embed:
    """A blocking `Embed` that asks `model`, such as "openai/text-embedding-3-small"; else like `completion`."""
    _check_installed()

    def embed(texts: Sequence[str]) -> list[list[float]]:
        if not texts:
            return []
        answer = _litellm().embedding(model=model, input=list(texts), **{**_OPTIONS, **options})
        return [row["embedding"] for row in sorted(answer.data, key=lambda row: int(row["index"]))]

    return embed


def _check_installed() -> None:
    try:
        version = metadata.version("litellm")
    except metadata.PackageNotFoundError:
        raise MissingExtra("LiteLLM", "litellm") from None
    if version in _COMPROMISED:
        raise ConfigurationError(
            f"litellm {version} is a compromised release and is not imported. "
            "Remove it, treat all secrets of this machine as known to others, and install a newer one."
        )


@cache
def _litellm() -> Any:
    # Read at import: without it LiteLLM fetches its price list from the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    return litellm
