"""Google-BLEU of one text against one reference (Wu et al., arXiv:1609.08144)."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.graders.similarity.words import count_runs

MAX_ORDER = 4


def gleu(words: Sequence[str], reference: Sequence[str]) -> float:
    """The share of runs of one to four words that both have, of those of the text or of the reference: the lower one.

    As NLTK's `sentence_gleu`. Both hold at least one word.
    """
    matches = of_text = of_reference = 0
    for order in range(1, MAX_ORDER + 1):
        runs, reference_runs = count_runs(words, order), count_runs(reference, order)
        matches += (runs & reference_runs).total()
        of_text += runs.total()
        of_reference += reference_runs.total()
    return matches / max(of_text, of_reference)
