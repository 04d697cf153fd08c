"""OpenAI's text similarity, executed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from verifine.config.graders import TextSimilarityGraderConfig
from verifine.errors import GraderError
from verifine.graders.grader import grade_together
from verifine.graders.sample_error import SampleError
from verifine.graders.similarity import MAX_CHARACTERS, Embedder, cosine, embed_shortest, similarity
from verifine.graders.template import render, render_reference
from verifine.types import Grade, GradeFault, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """The rendered texts of a sample, without outer blanks."""

    text: str
    reference: str

    @property
    def needs_vectors(self) -> bool:
        """Equal texts score 1 and an empty one 0, whatever the embedding model says of them."""
        return self.text != self.reference and min(len(self.text), len(self.reference)) > 0

    @property
    def is_too_long(self) -> bool:
        return max(len(self.text), len(self.reference)) > MAX_CHARACTERS


class TextSimilarityGrader:
    """How alike the input and the reference are, from 0 to 1, by every metric but cosine."""

    def __init__(self, config: TextSimilarityGraderConfig) -> None:
        self._config = config

    def grade_one(self, sample: Sample) -> Grade:
        assert self._config.evaluation_metric != "cosine"
        pair = _render(self._config, sample)
        score = similarity(self._config.evaluation_metric, pair.text, pair.reference)
        return Grade(score=score, parts={self._config.name: score})


class CosineSimilarityGrader:
    """The cosine of the embeddings of input and reference."""

    def __init__(self, config: TextSimilarityGraderConfig, *, embedder: Embedder | None) -> None:
        """GraderError without an embedder. A given one is closed with the grader."""
        if embedder is None:
            raise GraderError(
                "the metric cosine compares embeddings; set `grading.embedder` to a server that makes them, or take "
                "another metric, such as rouge_l"
            )
        self._config = config
        self._embedder = embedder

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        """All texts are asked for at once, and the time is divided equally among the samples."""
        started = time.perf_counter()
        grades = grade_together(samples, self._read, self._grade_pairs)
        seconds = (time.perf_counter() - started) / max(1, len(grades))
        return [replace(grade, seconds=seconds) for grade in grades]

    def close(self) -> None:
        self._embedder.close()

    def _read(self, sample: Sample) -> _Pair | Grade:
        pair = _render(self._config, sample)
        if not pair.needs_vectors:
            return self._scored(float(pair.text == pair.reference))
        if pair.is_too_long:
            raise SampleError(f"a text is too long: at most {MAX_CHARACTERS} characters are compared")
        return pair

    def _grade_pairs(self, pairs: Sequence[_Pair]) -> list[Grade]:
        texts = [text for pair in pairs for text in (pair.text, pair.reference)]
        vectors, reason = embed_shortest(self._embedder, texts)
        return [self._compare(pair, vectors, reason) for pair in pairs]

    def _compare(self, pair: _Pair, vectors: Mapping[str, Sequence[float]], reason: str) -> Grade:
        if pair.text not in vectors or pair.reference not in vectors:
            return Grade.unscorable(reason, GradeFault.MODEL_SERVER)
        try:
            return self._scored(cosine(vectors[pair.text], vectors[pair.reference]))
        except SampleError as error:
            return error.grade()

    def _scored(self, score: float) -> Grade:
        return Grade(score=score, parts={self._config.name: score})


def _render(config: TextSimilarityGraderConfig, sample: Sample) -> _Pair:
    # The reference first: a row without it is unscorable, whatever the answer lacks.
    reference = render_reference(config.reference, sample)
    return _Pair(text=render(config.input, sample).strip(), reference=reference.strip())
