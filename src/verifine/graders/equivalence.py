"""Whether answer and reference are the same mathematics: by their texts where that is enough, else in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from verifine.graders.labels import bare_value
from verifine.graders.latex import is_beyond_algebra, is_words, same_ratio, same_text
from verifine.graders.numerals import parse_number, same_number
from verifine.graders.sandbox import Call, CallFault, Limits, Outcome, Sandbox
from verifine.graders.sandbox.programs import program_source
from verifine.graders.services import Services
from verifine.graders.spellings import for_parser
from verifine.graders.units import split_unit
from verifine.types import Json

MAX_CHARACTERS = 4096
"""A longer answer is wrong, and a longer reference is compared as text."""

_PRELOAD = ("sympy", "latex2sympy2_extended", "math_verify")
_PAIRS_A_CALL = 8
"""The first formula that a process reads takes ten times as long as the next, so each process gets a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPair:
    """An answer and what it should be."""

    answer: str
    reference: str


class MathVerdict(StrEnum):
    """The result of comparing a pair."""

    EQUAL = "equal"
    TEXT_EQUAL = "text equal"
    """The answer cannot be read as mathematics, but its text is that of the reference, which can."""
    DIFFERENT = "different"
    TOO_LONG = "too long"
    UNCHECKED = "unchecked"
    """Comparing took longer, or more memory, than it may."""
    FAILED = "failed"
    """The sandbox failed, so the answer is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MathComparison:
    """A verdict, and how long it took."""

    verdict: MathVerdict
    message: str = ""
    """What went wrong, where something did."""
    seconds: float = 0.0


class Equivalence:
    """Compares pairs. Plain numbers and words are compared here; Math-Verify reads everything else, in the sandbox."""

    def __init__(self, *, timeout_s: float, services: Services) -> None:
        self._source = program_source("algebra")
        self._sandbox = Sandbox(
            level=services.level,
            workers=services.grading.workers,
            preload=_PRELOAD,
            limits=Limits(wall_s=timeout_s, cpu_s=timeout_s),
        )

    def compare(self, pairs: Sequence[AnswerPair]) -> dict[AnswerPair, MathComparison]:
        """The comparison of each different pair."""
        seen = {pair: _by_text(pair) for pair in pairs}
        found = {pair: _comparison(verdict) for pair, verdict in seen.items() if verdict is not None}
        return found | self._ask([pair for pair, verdict in seen.items() if verdict is None], at_once=_PAIRS_A_CALL)

    def close(self) -> None:
        self._sandbox.close()

    def _ask(self, pairs: Sequence[AnswerPair], *, at_once: int) -> dict[AnswerPair, MathComparison]:
        """Where a process fails, each of its pairs is asked again alone, so that one pair cannot harm the others."""
        shares = [pairs[start : start + at_once] for start in range(0, len(pairs), at_once)]
        outcomes = self._sandbox.run([self._call(share) for share in shares])
        found: dict[AnswerPair, MathComparison] = {}
        alone: list[AnswerPair] = []
        for share, outcome in zip(shares, outcomes, strict=True):
            words = _words(outcome, len(share))
            if words is None and len(share) > 1:
                alone += share
            elif words is None:
                found[share[0]] = unanswered(share[0], outcome)
            else:
                found |= {
                    pair: MathComparison(verdict=_verdict(word, pair), seconds=outcome.seconds / len(share))
                    for pair, word in zip(share, words, strict=True)
                }
        return found | self._ask(alone, at_once=1) if alone else found

    def _call(self, pairs: Sequence[AnswerPair]) -> Call:
        texts: Json = [
            [for_parser(split_unit(bare_value(text))[0]) for text in (pair.answer, pair.reference)] for pair in pairs
        ]
        return Call(source=self._source, function="compare_all", arguments=(texts,))


def _by_text(pair: AnswerPair) -> MathVerdict | None:
    """None: algebra has to decide."""
    if pair.answer.strip() == pair.reference.strip():
        return MathVerdict.EQUAL
    if len(pair.answer) > MAX_CHARACTERS:
        return MathVerdict.TOO_LONG
    answer, reference = bare_value(pair.answer), bare_value(pair.reference)
    if not answer:
        return MathVerdict.DIFFERENT
    if len(reference) > MAX_CHARACTERS:
        return _equal_if(same_text(answer, reference))
    (answer, unit), (reference, wanted_unit) = split_unit(answer), split_unit(reference)
    given, wanted = parse_number(answer), parse_number(reference)
    units = {unit or (given.unit if given else ""), wanted_unit or (wanted.unit if wanted else "")}
    if len(units - {""}) > 1:
        return MathVerdict.DIFFERENT
    if given is not None and wanted is not None:
        return _equal_if(answer == reference or same_number(given, wanted))
    return _by_form(answer, reference, pair)


def _by_form(answer: str, reference: str, pair: AnswerPair) -> MathVerdict | None:
    """Of values that are not both numbers; `answer` and `reference` are without their units."""
    is_same_ratio = same_ratio(answer, reference)
    if is_same_ratio is not None:
        return _equal_if(is_same_ratio)
    # Algebra takes a word for a product of letters, so that "no" would be "on".
    are_plain = all(is_words(text) or parse_number(text) is not None for text in (answer, reference))
    if are_plain or answer == reference or is_beyond_algebra(reference):
        return _equal_if(same_text(answer, reference))
    return _unreadable_answer(pair) if is_beyond_algebra(answer) else None


def _comparison(verdict: MathVerdict) -> MathComparison:
    message = f"the answer has more than {MAX_CHARACTERS} characters" if verdict is MathVerdict.TOO_LONG else ""
    return MathComparison(verdict=verdict, message=message)


def _equal_if(is_equal: bool) -> MathVerdict:
    return MathVerdict.EQUAL if is_equal else MathVerdict.DIFFERENT


def _unreadable_answer(pair: AnswerPair) -> MathVerdict:
    same = same_text(bare_value(pair.answer), bare_value(pair.reference))
    return MathVerdict.TEXT_EQUAL if same else MathVerdict.DIFFERENT


def _words(outcome: Outcome, count: int) -> list[str] | None:
    """The sandbox's result for each pair; None if one is missing."""
    if outcome.fault is not None or not isinstance(outcome.value, list) or len(outcome.value) != count:
        return None
    return [str(word) for word in outcome.value]


def _verdict(word: str, pair: AnswerPair) -> MathVerdict:
    match word:
        case "equal":
            return MathVerdict.EQUAL
        case "unreadable reference":
            return _equal_if(same_text(bare_value(pair.answer), bare_value(pair.reference)))
        case "unreadable answer":
            return _unreadable_answer(pair)
        case _:
            return MathVerdict.DIFFERENT


def unanswered(pair: AnswerPair, outcome: Outcome) -> MathComparison:
    """The comparison of a pair for which the sandbox gave no result."""
    match outcome.fault:
        case CallFault.TIMEOUT | CallFault.MEMORY:
            verdict = MathVerdict.UNCHECKED
        case CallFault.SANDBOX | CallFault.SOURCE:
            verdict = MathVerdict.FAILED
        case _:  # it crashed on what the model wrote
            verdict = _unreadable_answer(pair)
    return MathComparison(verdict=verdict, message=outcome.message, seconds=outcome.seconds)
