from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.errors import GraderError
from verifine.graders.similarity import cosine, embed_shortest


class Lengths:
    """An embedder that turns a text into its length, takes texts up to `longest`, and remembers what it was asked."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls.append(list(texts))
        if any(len(text) > self._longest for text in texts):
            raise GraderError("a text is too long for the model")
        return [[float(len(text))] for text in texts]

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    ("vector", "reference", "angle"),
    [
        ([3, 4], [3, 4], 1.0),
        ([3, 4], [6, 8], 1.0),
        ([3, 4], [4, 3], 24 / 25),
        ([1, 0], [0, 1], 0.0),
        ([1, 0], [-1, 0], 0.0),
        ([1, 1], [1, 0], 1 / math.sqrt(2)),
    ],
)
def test_cosine_of_the_angle_and_nothing_below_zero(vector: list[float], reference: list[float], angle: float) -> None:
    assert cosine(vector, reference) == pytest.approx(angle)


@pytest.mark.parametrize("vectors", [([0, 0], [1, 0]), ([1], [1, 0]), ([1e300, 1e300], [1e300, 1e300]), ([], [])])
def test_vectors_without_an_angle_are_refused(vectors: tuple[list[float], list[float]]) -> None:
    with pytest.raises(GraderError, match="cannot be compared"):
        cosine(*vectors)


NUMBERS = st.floats(min_value=-1e6, max_value=1e6).filter(lambda number: number == 0 or abs(number) > 1e-6)
VECTORS = st.lists(NUMBERS, min_size=3, max_size=3).filter(any)


@given(VECTORS, VECTORS)
def test_cosine_is_symmetric_and_between_nothing_and_one(vector: list[float], reference: list[float]) -> None:
    assert 0 <= cosine(vector, reference) <= 1
    assert cosine(vector, reference) == cosine(reference, vector)
    assert cosine(vector, vector) == pytest.approx(1)


def test_texts_are_embedded_once_and_at_once() -> None:
    embedder = Lengths(100)
    assert embed_shortest(embedder, ["bb", "a", "bb"]) == ({"a": [1], "bb": [2]}, "")
    assert embedder.calls == [["a", "bb"]]
    assert embed_shortest(embedder, []) == ({}, "")
    assert len(embedder.calls) == 1


def test_texts_that_are_too_long_take_no_others_with_them() -> None:
    embedder = Lengths(60)
    texts = ["x" * length for length in range(1, 101)]
    vectors, reason = embed_shortest(embedder, texts)
    assert vectors == {"x" * length: [length] for length in range(1, 61)}
    assert reason == "a text is too long for the model"
    assert len(embedder.calls) < 12


def test_an_embedder_that_is_down_is_asked_twice() -> None:
    embedder = Lengths(0)
    assert embed_shortest(embedder, ["a", "bb", "ccc"]) == ({}, "a text is too long for the model")
    assert len(embedder.calls) == 2


@given(st.integers(min_value=0, max_value=40), st.lists(st.integers(min_value=1, max_value=40), max_size=30))
def test_every_text_that_fits_is_embedded(longest: int, lengths: list[int]) -> None:
    vectors, reason = embed_shortest(Lengths(longest), ["x" * length for length in lengths])
    assert set(vectors) == {"x" * length for length in lengths if length <= longest}
    assert bool(reason) == any(length > longest for length in lengths)
