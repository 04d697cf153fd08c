"""How alike two texts are, from 0 to 1: pure functions, one module a metric."""

from __future__ import annotations

from verifine.graders.similarity.compare import MAX_CHARACTERS, TextMetric, similarity
from verifine.graders.similarity.cosine import cosine, embed_shortest
from verifine.graders.similarity.embedder import Embedder
from verifine.graders.similarity.words import MAX_WORDS, split_words

__all__ = [
    "MAX_CHARACTERS",
    "MAX_WORDS",
    "Embedder",
    "TextMetric",
    "cosine",
    "embed_shortest",
    "similarity",
    "split_words",
]
