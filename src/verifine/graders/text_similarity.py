"""OpenAI's text similarity, executed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from verifine.config.graders import TextSimilarityGraderConfig
from verifine.errors import GraderError
from verifine.graders.similarity import MAX_CHARACTERS, Embedder, cosine, embed_shortest, similarity
from verifine.graders.template import MissingFieldError, render
from verifine.graders.timing import timed
from verifine.types import Grade, GradeFault, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """The rendered texts of a sample, without outer blanks."""

    text: str
    reference: str

    @property
    def needs_vectors(self) -> bool:
        """Equal texts are 1 and an empty one is 0, whatever the model of texts says of them."""
        return self.text != self.reference and min(len(self.text), len(self.reference)) > 0

    @property
    def is_too_long(self) -> bool:
        return max(len(self.text), len(self.reference)) > MAX_CHARACTERS


class TextSimilarityGrader:
    """How alike the input and the reference are, from 0 to 1; unscorable where they are too long to be compared."""

    def __init__(self, config: TextSimilarityGraderConfig, *, embedder: Embedder | None = None) -> None:
        """GraderError without the embedder that the metric cosine needs; what is given is closed with the grader."""
        if config.evaluation_metric == "cosine" and embedder is None:
            raise GraderError(
                "the metric cosine compares embeddings; set `grading.embedder` to a server that makes them, or take "
                "another metric, such as rouge_l"
            )
        self._config = config
        self._embedder = embedder

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        if self._config.evaluation_metric == "cosine":
            return self._grade_embedded(samples)
        return [timed(self._grade_one, sample) for sample in samples]

    def close(self) -> None:
        if self._embedder is not None:
            self._embedder.close()

    def _grade_one(self, sample: Sample) -> Grade:
        assert self._config.evaluation_metric != "cosine"
        try:
            pair = self._render(sample)
            return self._scored(similarity(self._config.evaluation_metric, pair.text, pair.reference))
        except MissingFieldError as error:
            return error.grade()
        except GraderError as error:
            return Grade.unscorable(str(error))

    def _grade_embedded(self, samples: Sequence[Sample]) -> list[Grade]:
        """All texts are asked for at once, and the time is shared out among the samples."""
        assert self._embedder is not None
        started = time.perf_counter()
        pairs = [self._render_or_grade(sample) for sample in samples]
        asked = [pair for pair in pairs if isinstance(pair, _Pair) and pair.needs_vectors and not pair.is_too_long]
        texts = [text for pair in asked for text in (pair.text, pair.reference)]
        vectors, reason = embed_shortest(self._embedder, texts)
        grades = [self._compare(pair, vectors, reason) if isinstance(pair, _Pair) else pair for pair in pairs]
        seconds = (time.perf_counter() - started) / max(1, len(grades))
        return [replace(grade, seconds=seconds) for grade in grades]

    def _compare(self, pair: _Pair, vectors: Mapping[str, Sequence[float]], reason: str) -> Grade:
        if not pair.needs_vectors:
            return self._scored(float(pair.text == pair.reference))
        if pair.is_too_long:
            return Grade.unscorable(f"a text is too long: at most {MAX_CHARACTERS} characters are compared")
        if pair.text not in vectors or pair.reference not in vectors:
            return Grade.unscorable(reason, GradeFault.MODEL_SERVER)
        try:
            return self._scored(cosine(vectors[pair.text], vectors[pair.reference]))
        except GraderError as error:
            return Grade.unscorable(str(error), GradeFault.MODEL_SERVER)

    def _render_or_grade(self, sample: Sample) -> _Pair | Grade:
        try:
            return self._render(sample)
        except MissingFieldError as error:
            return error.grade()

    def _render(self, sample: Sample) -> _Pair:
        # The reference first: a row without it is unscorable, whatever the answer lacks.
        reference = render(self._config.reference, sample)
        return _Pair(text=render(self._config.input, sample).strip(), reference=reference.strip())

    def _scored(self, score: float) -> Grade:
        return Grade(score=score, parts={self._config.name: score})
