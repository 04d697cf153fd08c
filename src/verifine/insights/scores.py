"""A set of grades in numbers: the distribution of scores, how often the grader failed, and how long it took."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from verifine.types import Grade, Json

BINS = 10
SAME_SCORE = 1e-6
"""Scores that differ by no more than this count as equal."""
SHOWN_REASONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The grades of one set of answers. A mean or share of nothing is None."""

    scored: tuple[float, ...]
    unscorable: int
    flagged: int
    """Answers that scored 0 because something that the grader reads is missing."""
    format_accuracy: float | None
    """None: not judged, as with the answers."""
    answer_accuracy: float | None
    seconds: tuple[float, ...]
    """The durations of grades, where they were measured, the shortest first."""
    reasons: tuple[tuple[str, int], ...]
    """Why answers were unscorable or flagged, and how often, the most frequent first."""

    @property
    def count(self) -> int:
        return len(self.scored) + self.unscorable

    @property
    def mean(self) -> float | None:
        return mean(self.scored)

    @property
    def lowest(self) -> float | None:
        return min(self.scored, default=None)

    @property
    def highest(self) -> float | None:
        return max(self.scored, default=None)

    def share_at(self, score: float | None) -> float | None:
        """The share of scored answers with exactly this score."""
        return mean([float(each == score) for each in self.scored])

    def latency_s(self, share: float) -> float | None:
        """The time within which this share of the grades was done; None: not measured."""
        if not self.seconds:
            return None
        return quantile(self.seconds, share)

    def numbers(self) -> dict[str, Json]:
        """For programs; null: not judged, or not measured."""
        reasons: list[Json] = [{"reason": reason, "count": count} for reason, count in self.reasons[:SHOWN_REASONS]]
        return {
            "count": self.count,
            "unscorable": self.unscorable,
            "flagged": self.flagged,
            "mean": self.mean,
            "lowest": self.lowest,
            "highest": self.highest,
            "share_at_lowest": self.share_at(self.lowest),
            "share_at_highest": self.share_at(self.highest),
            "format_accuracy": self.format_accuracy,
            "answer_accuracy": self.answer_accuracy,
            "latency_p50_s": self.latency_s(0.5),
            "latency_p95_s": self.latency_s(0.95),
            "reasons": reasons,
        }


def collect_scores(grades: Iterable[Grade]) -> Scores:
    grades = tuple(grades)
    faulty = [grade for grade in grades if grade.faults or grade.score is None]
    reasons = Counter(grade.reason or "no reason given" for grade in faulty)
    return Scores(
        scored=tuple(grade.score for grade in grades if grade.score is not None),
        unscorable=sum(grade.score is None for grade in grades),
        flagged=sum(grade.score is not None for grade in faulty),
        format_accuracy=mean([float(grade.format_ok) for grade in grades if grade.format_ok is not None]),
        answer_accuracy=mean([float(grade.answer_ok) for grade in grades if grade.answer_ok is not None]),
        seconds=tuple(sorted(grade.seconds for grade in grades if grade.seconds > 0)),
        reasons=tuple(reasons.most_common()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Ranges of scores of equal width. Each includes its lower edge; the last one includes its upper edge too."""

    edges: tuple[float, ...]
    """One more than there are bins; all equal if all scores are."""

    @classmethod
    def over(cls, *sets: Scores) -> Bins:
        """Bins over the common range of all these scores; no bins if nothing could be scored."""
        scores = [score for each in sets for score in each.scored]
        if not scores:
            return cls(edges=())
        return cls.between(min(scores), max(scores), BINS)

    @classmethod
    def between(cls, low: float, high: float, number: int) -> Bins:
        """Bins of equal width; a single one if both ends are equal."""
        if low == high:
            return cls(edges=(low, high))
        shares = [position / number for position in range(1, number)]
        return cls(edges=(low, *(low * (1 - share) + high * share for share in shares), high))

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        return tuple(zip(self.edges[:-1], self.edges[1:], strict=True))

    def count(self, scores: Sequence[float]) -> list[int]:
        """The number of scores in each bin; no score may lie outside the edges."""
        counts = [0] * max(0, len(self.edges) - 1)
        for score in scores:
            counts[self._bin_of(score)] += 1
        return counts

    def _bin_of(self, score: float) -> int:
        return max(0, sum(score >= edge for edge in self.edges[:-1]) - 1)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is at least as large as this share of the values."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def mean(values: Sequence[float]) -> float | None:
    """None: there are none."""
    return statistics.mean(values) if values else None
