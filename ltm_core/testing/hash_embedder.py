"""An embedder without a model, for tests and for trying things out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

from ..text.words import terms


class HashEmbedder:
    """An `Embed` without a model: texts that share words have similar vectors, of length 1.

    >>> first, second = HashEmbedder(8)(["I love hiking", "loved hikes"])
    >>> first == second
    True
    """

    def __init__(self, dimensions: int = 64) -> None:
        self.dimensions = dimensions

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, the same in every process."""
        return [self._vector(terms(text) or [text]) for text in texts]

    def _vector(self, words: Sequence[str]) -> list[float]:
        vector = [0.0] * self.dimensions
        for word in words:
            hashed = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "big")
            vector[hashed % self.dimensions] += 1.0
        length = math.sqrt(sum(number * number for number in vector))
        return [number / length for number in vector]
