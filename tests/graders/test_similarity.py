from __future__ import annotations

import math
import random
from typing import get_args

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from nltk.translate.gleu_score import sentence_gleu
from nltk.translate.meteor_score import single_meteor_score
from rapidfuzz import fuzz, utils
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize

from verifine.config.graders.text_similarity import SimilarityMetric
from verifine.errors import GraderError
from verifine.graders.similarity import MAX_CHARACTERS, MAX_WORDS, TextMetric, similarity, split_words
from verifine.graders.similarity.bleu import bleu
from verifine.graders.similarity.gleu import gleu
from verifine.graders.similarity.meteor import meteor
from verifine.graders.similarity.rouge import rouge_l, rouge_n

METRICS: tuple[TextMetric, ...] = (
    "fuzzy_match",
    "bleu",
    "gleu",
    "meteor",
    "rouge_1",
    "rouge_2",
    "rouge_3",
    "rouge_4",
    "rouge_5",
    "rouge_l",
)
SYMMETRIC: tuple[TextMetric, ...] = ("gleu", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l")

REFERENCE = "The cat sat on the mat."

# By hand. One word differs: 5 of 6 words, 3 of 5 pairs, 1 of 4 triples and no run of four are the reference's own.
# Another order: all words match, in six chunks, so METEOR loses half; the longest common subsequence has 3 words.
# Two words, both right: precision 1, recall 2/6, and BLEU's brevity penalty exp(1 - 6/2).
# The fuzzy scores of 0.95, 0.9 and 0.3 are RapidFuzz's; the others are twice the letters in common, of all letters.
GOLDEN: dict[str, tuple[float, ...]] = {
    "the cat is on the mat": (
        40 / 43,
        (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25,
        (5 + 3 + 1) / (6 + 5 + 4 + 3),
        (1 - 0.5 * (2 / 5) ** 3) * 5 / 6,
        5 / 6,
        3 / 5,
        1 / 4,
        0,
        0,
        5 / 6,
    ),
    "mat the on sat cat the": (
        0.95,
        (1 * (1 / 2 / 5) * (1 / 4 / 4) * (1 / 8 / 3)) ** 0.25,
        6 / 18,
        0.5,
        1,
        0,
        0,
        0,
        0,
        3 / 6,
    ),
    "the cat": (
        0.9,
        math.exp(-2),
        (2 + 1) / 18,
        (1 - 0.5 * (2 / 2) ** 3) * (1 / 3) / (0.9 + 0.1 / 3),  # "the" finds the second one: two chunks
        2 * 2 / (2 + 6),
        2 * 1 / (1 + 5),
        0,
        0,
        0,
        2 * 2 / (2 + 6),
    ),
    "The cats sat on the mats": (
        44 / 46,
        (4 / 6 * 2 / 5 * 1 / 4 * 1 / 6) ** 0.25,
        (4 + 2 + 1) / 18,
        1 - 0.5 * (1 / 6) ** 3,  # cats and mats have the stems of cat and mat
        4 / 6,
        2 / 5,
        1 / 4,
        0,
        0,
        4 / 6,
    ),
    "dog": (0.3, 0, 0, 0, 0, 0, 0, 0, 0, 0),
}


class NoSynonyms:
    """WordNet as one has it without its data."""

    def synsets(self, word: str) -> list[object]:
        return []


def by_packages(metric: TextMetric, text: str, reference: str) -> float:
    """The same metric of the package it is named after, of words without punctuation."""
    words, wanted = split_words(text), split_words(reference)
    match metric:
        case "fuzzy_match":
            return fuzz.WRatio(text, reference, processor=utils.default_process) / 100
        case "bleu":
            lines = " ".join(words), [" ".join(wanted)]
            score = sacrebleu.sentence_bleu(*lines, tokenize="none", smooth_method="exp", use_effective_order=True)
            return float(score.score) / 100
        case "gleu":
            return float(sentence_gleu([wanted], words))
        case "meteor":
            return float(single_meteor_score(wanted, words, wordnet=NoSynonyms()))
        case _:
            name = "rougeL" if metric == "rouge_l" else metric.replace("_", "")
            return float(RougeScorer([name]).score(reference, text)[name].fmeasure)


def test_every_metric_of_the_schema_is_here_but_the_one_of_embeddings() -> None:
    assert set(METRICS) == set(get_args(SimilarityMetric)) - {"cosine"}


@pytest.mark.parametrize("text", GOLDEN)
def test_golden_values(text: str) -> None:
    scores = [similarity(metric, text, REFERENCE) for metric in METRICS]
    assert scores == [pytest.approx(score, abs=1e-12) for score in GOLDEN[text]]
    packages = [by_packages(metric, text, REFERENCE) for metric in METRICS]
    assert packages == [pytest.approx(score, abs=1e-12) for score in GOLDEN[text]]


WORDS = "the cat cats sat sitting sits on a mat mats running runs ran quickly quick house houses housed"
SENTENCES = st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=14).map(" ".join)


@pytest.mark.parametrize("metric", METRICS)
@given(text=SENTENCES, reference=SENTENCES)
def test_a_metric_is_that_of_its_package_where_the_words_differ(metric: TextMetric, text: str, reference: str) -> None:
    wanted = 1.0 if text == reference else by_packages(metric, text, reference)
    assert similarity(metric, text, reference) == pytest.approx(wanted, abs=1e-12)


@given(text=SENTENCES, reference=SENTENCES)
def test_bleu_of_four_words_or_more_is_also_that_of_nltk(text: str, reference: str) -> None:
    words, wanted = [*text.split(), "on", "a", "mat"], reference.split()
    smoothed = sentence_bleu([wanted], words, smoothing_function=SmoothingFunction().method3)
    assert bleu(words, wanted) == pytest.approx(smoothed, abs=1e-12)


TEXTS = st.one_of(st.text(max_size=40), SENTENCES, st.text(alphabet="ab .\n", max_size=30))


@pytest.mark.parametrize("metric", METRICS)
@given(text=TEXTS, reference=TEXTS)
def test_every_score_is_between_nothing_and_one(metric: TextMetric, text: str, reference: str) -> None:
    assert 0 <= similarity(metric, text, reference) <= 1


@pytest.mark.parametrize("metric", METRICS)
@given(text=TEXTS)
def test_a_text_is_wholly_like_itself(metric: TextMetric, text: str) -> None:
    assert similarity(metric, text, text) == 1
    assert similarity(metric, f" {text}\n", text) == 1


@pytest.mark.parametrize("metric", SYMMETRIC)
@given(text=TEXTS, reference=TEXTS)
def test_some_metrics_do_not_care_which_text_is_the_reference(metric: TextMetric, text: str, reference: str) -> None:
    assert similarity(metric, text, reference) == similarity(metric, reference, text)


def test_the_others_care() -> None:
    for metric in ("bleu", "meteor"):
        assert similarity(metric, "a cat", "a cat sat") != similarity(metric, "a cat sat", "a cat")


@pytest.mark.parametrize("metric", METRICS)
def test_empty_texts(metric: TextMetric) -> None:
    assert similarity(metric, "", "") == 1
    assert similarity(metric, " \n", "") == 1
    assert similarity(metric, "", "cat") == 0
    assert similarity(metric, "cat", "") == 0
    assert similarity(metric, "?", "!") == 0
    assert similarity(metric, "!", "!") == 1


@pytest.mark.parametrize("metric", METRICS)
def test_short_texts_with_the_same_words_are_alike_even_by_metrics_of_long_runs(metric: TextMetric) -> None:
    assert similarity(metric, "A cat!", "a cat") == 1


def test_a_text_shorter_than_the_runs_compared_has_nothing_in_common_with_any_other() -> None:
    assert similarity("rouge_3", "the cat", REFERENCE) == 0
    assert similarity("rouge_5", "a cat sat", "a cat sat down") == 0


def test_runs_count_as_often_as_both_have_them() -> None:
    assert rouge_n(["a", "a", "a"], ["a", "b"], 1) == pytest.approx(2 * 1 / 5)
    assert gleu(["a", "a"], ["a"]) == pytest.approx(1 / 3)
    assert bleu(["a", "a"], ["a"]) == pytest.approx((1 / 2 * 1 / 2) ** 0.5)
    assert meteor(["a", "a"], ["a"]) == pytest.approx(0.5 * (1 / 2) / (0.9 / 2 + 0.1))


@given(words=st.lists(st.sampled_from("abc"), max_size=7), reference=st.lists(st.sampled_from("abc"), max_size=7))
def test_rouge_l_is_the_longest_common_subsequence(words: list[str], reference: list[str]) -> None:
    longest = max(
        len(part)
        for chosen in range(2 ** len(words))
        if is_in(part := [word for place, word in enumerate(words) if chosen >> place & 1], reference)
    )
    wanted = 2 * longest / (len(words) + len(reference)) if longest else 0
    assert rouge_l(words, reference) == pytest.approx(wanted)


def is_in(part: list[str], words: list[str]) -> bool:
    left = iter(words)
    return all(word in left for word in part)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat's 2 mats.", ["the", "cat", "s", "2", "mats"]),
        ("snake_case, 3.14 and **bold**", ["snake", "case", "3", "14", "and", "bold"]),
        ("Straße ÉTÉ e\u0301te\u0301", ["straße", "été", "été"]),
        ("हिन्दी", ["हिन्दी"]),
        ("我爱你 123", ["我", "爱", "你", "123"]),
        ("かな カナ", ["か", "な", "カ", "ナ"]),
        ("--- ?!", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@given(st.text(alphabet="aB1 _-.,'\n\tZ!", max_size=40))
def test_words_of_plain_ascii_are_those_of_rouge_score(text: str) -> None:
    assert split_words(text) == tokenize(text, None)


def test_texts_that_would_take_long_are_refused() -> None:
    assert similarity("rouge_l", "a" * MAX_CHARACTERS, "a") == 0
    with pytest.raises(GraderError, match="50001 characters; at most 50000"):
        similarity("rouge_l", "a" * (MAX_CHARACTERS + 1), "a")
    assert similarity("rouge_1", "a " * MAX_WORDS, "b") == 0
    with pytest.raises(GraderError, match="20001 words; at most 20000"):
        similarity("bleu", "a " * (MAX_WORDS + 1), "a")


def test_letters_of_two_long_texts_are_not_compared() -> None:
    assert similarity("fuzzy_match", "a" * 20_000, "a" * 19_999) > 0.99
    with pytest.raises(GraderError, match="20001 characters with one of 20000"):
        similarity("fuzzy_match", "a" * 20_001, "a" * 20_000)
    # The shorter text would be looked for in every place of the longer one, which takes minutes.
    with pytest.raises(GraderError, match="20000 characters with one of 10000"):
        similarity("fuzzy_match", "ab" * 10_000, "c" * 10_000)
    assert similarity("fuzzy_match", "a" * 10_000, "a" * 1_000) > 0.5
    with pytest.raises(GraderError, match="10000 characters with one of 1001"):
        similarity("fuzzy_match", "a" * 10_000, "a" * 1_001)
    with pytest.raises(GraderError, match="4500 characters with one of 3000"):
        similarity("fuzzy_match", "a" * 4_500, "a" * 3_000)
    assert similarity("fuzzy_match", "a" * 4_499, "a" * 3_000) > 0.5


def test_a_long_answer_is_compared_by_every_metric() -> None:
    letters = random.Random(0)
    answer = " ".join("".join(letters.choices("etaoin", k=4)) for _ in range(4_000))
    for metric in METRICS:
        assert 0 <= similarity(metric, answer, answer[:500]) < 1
