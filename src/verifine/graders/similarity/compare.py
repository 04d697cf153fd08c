"""Every metric that needs nothing but the two texts, by OpenAI's names."""

from __future__ import annotations

from typing import Literal, assert_never

from verifine.graders.sample_error import SampleError
from verifine.graders.similarity.bleu import bleu
from verifine.graders.similarity.fuzzy import weighted_ratio
from verifine.graders.similarity.gleu import gleu
from verifine.graders.similarity.meteor import meteor
from verifine.graders.similarity.rouge import rouge_l, rouge_n
from verifine.graders.similarity.words import split_words

WordMetric = Literal["bleu", "gleu", "meteor", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l"]
TextMetric = Literal["fuzzy_match"] | WordMetric

MAX_CHARACTERS = 50_000


def similarity(metric: TextMetric, text: str, reference: str) -> float:
    """How alike the texts are, in [0, 1].

    Texts that are equal apart from outer blanks, or that have the same words, score 1 by every metric, however short,
    and so do two empty texts. A text without words scores 0 against any other.

    Raises:
        SampleError: a text is too long to be compared in a fraction of a second.
    """
    longest = max(len(text), len(reference))
    if longest > MAX_CHARACTERS:
        raise SampleError(f"a text has {longest} characters; at most {MAX_CHARACTERS} are compared")
    if text.strip() == reference.strip():
        return 1.0
    if metric == "fuzzy_match":
        return weighted_ratio(text, reference)
    words, reference_words = split_words(text), split_words(reference)
    if not words or not reference_words:
        return 0.0
    return 1.0 if words == reference_words else _compare_words(metric, words, reference_words)


def _compare_words(metric: WordMetric, words: list[str], reference: list[str]) -> float:
    match metric:
        case "bleu":
            return bleu(words, reference)
        case "gleu":
            return gleu(words, reference)
        case "meteor":
            return meteor(words, reference)
        case "rouge_1" | "rouge_2" | "rouge_3" | "rouge_4" | "rouge_5":
            return rouge_n(words, reference, int(metric[-1]))
        case "rouge_l":
            return rouge_l(words, reference)
        case metric:
            assert_never(metric)
