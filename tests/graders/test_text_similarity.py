from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from verifine.config.graders import TextSimilarityGraderConfig
from verifine.config.graders.text_similarity import SimilarityMetric
from verifine.errors import GraderError
from verifine.graders import Grader, build_grader
from verifine.graders.similarity import Embedder
from verifine.graders.text_similarity import CosineSimilarityGrader
from verifine.types import Grade, GradeFault, Json, Sample


def grader(
    metric: SimilarityMetric, *, text: str = "{{ sample.output_text }}", embedder: Embedder | None = None
) -> Grader:
    config = TextSimilarityGraderConfig(
        type="text_similarity",
        name="alike",
        input=text,
        reference="{{ item.reference }}",
        evaluation_metric=metric,
    )
    return build_grader(config) if embedder is None else CosineSimilarityGrader(config, embedder=embedder)


def sample(text: str, **item: Json) -> Sample:
    return Sample(output_text=text, item=item)


def untimed(grades: Sequence[Grade]) -> list[Grade]:
    return [replace(grade, seconds=0.0) for grade in grades]


class Angles:
    """An embedder that knows five texts, and takes none above ten characters."""

    VECTORS = {"n": [0.0, 1.0], "north": [0.0, 1.0], "east": [1.0, 0.0], "northeast": [1.0, 1.0], "nowhere": [0.0, 0.0]}  # noqa: RUF012

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.closed = 0

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(list(texts))
        if max(len(text) for text in texts) > 10:
            raise GraderError("the server refused a text")
        return [self.VECTORS[text] for text in texts]

    def close(self) -> None:
        self.closed += 1


def test_score_is_the_similarity_of_input_and_reference() -> None:
    samples = [sample("the cat", reference="the cat sat"), sample("the cat sat", reference="the cat sat")]
    first, second = untimed(grader("rouge_1").grade(samples))
    assert first == Grade(score=0.8, parts={"alike": 0.8})
    assert second == Grade(score=1.0, parts={"alike": 1.0})


def test_time_is_measured() -> None:
    (grade,) = grader("bleu").grade([sample("a", reference="b")])
    assert grade.seconds > 0


def test_a_row_without_the_reference_is_unscorable_and_an_answer_without_the_input_scores_nothing() -> None:
    of_json = grader("rouge_1", text="{{ sample.output_json.summary }}")
    samples = [sample('{"summary": "a"}'), sample("none", reference="a"), sample('{"summary": "a"}', reference="a")]
    row, answer, right = of_json.grade(samples)
    assert (row.score, row.faults) == (None, frozenset({GradeFault.INVALID_VARIABLE}))
    assert (answer.score, answer.faults) == (0, frozenset({GradeFault.SAMPLE_PARSE}))
    assert right.score == 1


def test_a_text_too_long_to_be_compared_is_unscorable() -> None:
    long, short = grader("rouge_l").grade([sample("a" * 50_001, reference="b"), sample("a", reference="b")])
    assert (long.score, short.score) == (None, 0)
    assert long.reason == "a text has 50001 characters; at most 50000 are compared"


def test_cosine_needs_an_embedder() -> None:
    with pytest.raises(GraderError, match=r"set `grading\.embedder`"):
        grader("cosine")
    config = TextSimilarityGraderConfig(type="text_similarity", input="a", reference="b", evaluation_metric="cosine")
    with pytest.raises(GraderError, match=r"set `grading\.embedder`"):
        build_grader(config)


def test_cosine_asks_for_all_texts_at_once() -> None:
    embedder = Angles()
    samples = [sample("north", reference="east"), sample("northeast", reference="east")]
    grades = grader("cosine", embedder=embedder).grade(samples)
    assert [grade.score for grade in grades] == [0, pytest.approx(0.5**0.5)]
    assert embedder.asked == [["east", "north", "northeast"]]
    assert all(grade.seconds > 0 for grade in grades)


def test_cosine_of_equal_and_of_empty_texts_needs_no_embedder() -> None:
    embedder = Angles()
    pairs = [("up", "up"), ("up ", " up"), ("", "up"), (" ", "up"), ("", "up")]
    grades = grader("cosine", embedder=embedder).grade([sample(text, reference=wanted) for text, wanted in pairs])
    assert [grade.score for grade in grades] == [1, 1, 0, 0, 0]
    assert embedder.asked == []


def test_an_answer_that_cannot_be_embedded_harms_no_other() -> None:
    samples = [
        sample("a long answer", reference="east"),
        sample("east", reference="east "),
        sample("north", reference="east"),
        sample("nowhere", reference="east"),
        sample("x" * 50_000, reference="east"),
        sample("x" * 50_001, reference="east"),
        sample("north"),
        sample("n", reference="north"),
    ]
    grades = grader("cosine", embedder=Angles()).grade(samples)
    assert [grade.score for grade in grades] == [None, 1, 0, None, None, None, None, 1]
    assert [grade.faults for grade in grades if grade.score is None] == [
        {GradeFault.MODEL_SERVER},
        {GradeFault.MODEL_SERVER},
        {GradeFault.MODEL_SERVER},
        {GradeFault.OTHER},
        {GradeFault.INVALID_VARIABLE},
    ]
    assert grades[0].reason == "the server refused a text"


def test_the_embedder_is_closed_with_the_grader() -> None:
    embedder = Angles()
    grader("cosine", embedder=embedder).close()
    grader("bleu").close()
    assert embedder.closed == 1
