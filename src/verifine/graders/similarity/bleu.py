"""BLEU of one text against one reference (Papineni et al., 2002)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from verifine.graders.similarity.words import count_runs

MAX_ORDER = 4


def bleu(words: Sequence[str], reference: Sequence[str]) -> float:
    """As sacrebleu's `sentence_bleu` has it, in [0, 1]: `smooth_method="exp"`, `use_effective_order=True`.

    The geometric mean of the precisions of runs of one to four words, as far as the text has runs that long, times
    exp(1 - reference / text) of the lengths where the text is shorter. An order without a match counts as half a match,
    the next such one as a quarter, and so on (Chen and Cherry, 2014, method 3); no word in common is 0. Both hold
    at least one word.
    """
    logs: list[float] = []
    smoothing = 1.0
    for order in range(1, min(MAX_ORDER, len(words)) + 1):
        runs = count_runs(words, order)
        matches: float = (runs & count_runs(reference, order)).total()
        if order == 1 and not matches:
            return 0.0
        if not matches:
            smoothing /= 2
            matches = smoothing
        logs.append(math.log(matches / runs.total()))
    brevity = min(0.0, 1 - len(reference) / len(words))
    return math.exp(brevity + math.fsum(logs) / len(logs))
