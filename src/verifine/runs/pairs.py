"""Two evaluations side by side: which problems were won, which were lost, and whether that can be chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from verifine.runs.evaluation import EvaluatedSample, Evaluation


class Change(StrEnum):
    """What became of a problem."""

    WON = "won"
    LOST = "lost"
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same problem, answered before and after training."""

    before: EvaluatedSample
    after: EvaluatedSample

    @property
    def change(self) -> Change:
        """By whether the answer is right where both were judged so, else by the score."""
        if self.before.answer_ok is not None and self.after.answer_ok is not None:
            before, after = float(self.before.answer_ok), float(self.after.answer_ok)
        else:
            before, after = self.before.score or 0.0, self.after.score or 0.0
        if before == after:
            return Change.SAME
        return Change.WON if after > before else Change.LOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Every problem that both evaluations asked, in their order."""

    pairs: tuple[Pair, ...]

    def of(self, change: Change) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if pair.change is change)

    @property
    def chance(self) -> float:
        """How often a difference at least this large comes about when nothing has changed."""
        return sign_test(len(self.of(Change.WON)), len(self.of(Change.LOST)))

    def examples(self, count: int = 4) -> tuple[Pair, ...]:
        """The first problems that were won, and one that was lost if any was; the rest fill up."""
        lost = self.of(Change.LOST)[:1]
        won = self.of(Change.WON)[: count - len(lost)]
        rest = [pair for pair in self.pairs if pair not in won and pair not in lost]
        return (*won, *lost, *rest[: max(0, 2 - len(won) - len(lost))])


def pair_up(before: Evaluation, after: Evaluation) -> Pairing:
    samples = {sample.prompt_id: sample for sample in before.samples}
    pairs = (
        Pair(before=samples[sample.prompt_id], after=sample) for sample in after.samples if sample.prompt_id in samples
    )
    return Pairing(pairs=tuple(pairs))


def sign_test(won: int, lost: int) -> float:
    """The two-sided exact sign test (for paired right and wrong answers: McNemar's exact test)."""
    total = won + lost
    ways = sum(math.comb(total, successes) for successes in range(min(won, lost) + 1))
    return min(1.0, 2 * (ways / (1 << total)))
