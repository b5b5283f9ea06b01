"""Embedders: what turns texts into vectors, by a name or as a callable, and what they made, kept for a while."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, InvalidInput, MissingExtra
from ..home import call
from ..scope import digest
from . import Embed

BATCH = 64
MOST_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Embedder:
    """A callable with the name of what it does.

    Attributes:
        space: The name of the model: only vectors of one space are compared. Whoever passes a callable of their own
            names it by its `space` attribute, and gives it another name when it changes.
        is_quick: Whether it takes microseconds and need not leave the event loop.
    """

    space: str
    embed: Embed
    is_quick: bool = False
    _kept: OrderedDict[str, Sequence[float]] = field(default_factory=OrderedDict)

    async def vectors(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """One vector for each text, in batches; the same text is not embedded twice while it is kept."""
        keys = [digest(text) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._kept}
        made: dict[str, Sequence[float]] = {}
        for batch in _batches(list(new.items())):
            found = await self._call([text for _, text in batch])
            if len(found) != len(batch):
                raise InvalidInput(f"The embedder gave {len(found)} vectors for {len(batch)} texts. Give one for each.")
            made |= {key: vector for (key, _), vector in zip(batch, found, strict=True)}
        known = {key: self._kept[key] for key in keys if key not in made}
        self._keep(made)
        return [made[key] if key in made else known[key] for key in keys]

    async def _call(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if self.is_quick:
            return self.embed(texts)  # type: ignore[return-value] # what is quick is not async
        return await call(self.embed, texts)

    def _keep(self, made: dict[str, Sequence[float]]) -> None:
        self._kept.update(made)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def embedder_of(named: str | Embed) -> Embedder:
    """An embedder by its name or as a callable.

    `local` is small, static and needs no download (extra `local`); `sentence-transformers/…` and `fastembed/…` are
    models of these libraries; everything else is a model as litellm names it (`openai/text-embedding-3-small`).
    Raises `MissingExtra` where the library is not installed, `ConfigurationError` for what is no embedder.
    """
    if callable(named):
        return Embedder(str(getattr(named, "space", "") or getattr(named, "__qualname__", "own")), named)
    if not isinstance(named, str) or not named:
        raise ConfigurationError(f"{named!r} is no embedder. Pass 'local', a name such as 'openai/…', or a callable.")
    if named == "local":
        return Embedder("local/wordllama-l2-256", local(), is_quick=True)
    library, _, model = named.partition("/")
    if library in _LIBRARIES:
        return Embedder(named, _LIBRARIES[library](model))
    from .litellm_model import embedding

    return Embedder(named, embedding(named))


def local() -> Embed:
    """A small embedder of words without context: the mean of their vectors, 256 numbers, some 0.1 ms a text.

    It stands in the package wordllama (MIT) and is read from there: nothing is imported from it and nothing downloaded.
    Raises `MissingExtra` without the extra `local`.
    """
    missing = [name for name in ("numpy", "safetensors", "tokenizers", "wordllama") if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"The local embedder needs {missing[0]}, which", "local")
    return partial(_mean_of_words, *_local_model())  # read now, and not within somebody's first recall


def _mean_of_words(tokenizer: Any, table: Any, texts: Sequence[str]) -> list[list[float]]:
    return [_mean(table, tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


def _mean(table: Any, ids: Sequence[int]) -> list[float]:
    """Their mean; for no words at all a vector that is near nothing."""
    return list(table[ids or [0]].mean(axis=0, dtype="f4").tolist())


@cache
def _local_model() -> tuple[Any, Any]:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    spec = find_spec("wordllama")
    assert spec is not None
    home = Path(next(iter(spec.submodule_search_locations or ())))
    tokenizer = Tokenizer.from_file(str(next(home.glob("tokenizers/l2_supercat*.json"))))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, load_file(str(next(home.glob("weights/l2_supercat_256*"))))["embedding.weight"]


def _sentence_transformers(model: str) -> Embed:
    if find_spec("sentence_transformers") is None:
        raise ConfigurationError(
            "sentence-transformers is not installed. Install it with: pip install sentence-transformers"
        )

    @cache
    def loaded() -> Any:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(model)

    return lambda texts: loaded().encode(list(texts), show_progress_bar=False).tolist()


def _fastembed(model: str) -> Embed:
    if find_spec("fastembed") is None:
        raise ConfigurationError("fastembed is not installed. Install it with: pip install fastembed")

    @cache
    def loaded() -> Any:
        from fastembed import TextEmbedding

        return TextEmbedding(model)

    return lambda texts: [vector.tolist() for vector in loaded().embed(list(texts))]


_LIBRARIES: dict[str, Callable[[str], Embed]] = {
    "sentence-transformers": _sentence_transformers,
    "fastembed": _fastembed,
}


def embedded_text(kind: str, fields: Any) -> str:
    """The text of a stored fact or message that stands for its meaning."""
    text = fields.get("text") or ""
    if kind == "fact" and not text.strip():
        return f"{fields.get('key')}: {json.dumps(fields.get('value'), ensure_ascii=False)}"
    return str(text)


def _batches(items: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
