"""ROUGE of one text against one reference (Lin, 2004): F1, as the `rouge-score` package has it without stemming."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

from verifine.graders.similarity.words import count_runs


def rouge_n(words: Sequence[str], reference: Sequence[str], n: int) -> float:
    """F1 of the runs of `n` words; 0 where one of the two has fewer words."""
    runs, reference_runs = count_runs(words, n), count_runs(reference, n)
    return _f1((runs & reference_runs).total(), runs.total(), reference_runs.total())


def rouge_l(words: Sequence[str], reference: Sequence[str]) -> float:
    """F1 of the longest common subsequence of words."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys([*words, *reference]))}
    # By numbers: RapidFuzz compares hashes, and those of small integers are the integers.
    common = LCSseq.similarity([numbers[word] for word in words], [numbers[word] for word in reference])
    return _f1(common, len(words), len(reference))


def _f1(matches: int, of_text: int, of_reference: int) -> float:
    """The harmonic mean of matches / of_text and matches / of_reference."""
    return 2 * matches / (of_text + of_reference) if matches else 0.0
