"""A grader's report as text: histogram and numbers in one table, then a few sentences about them."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from verifine.cli.one_line import one_line
from verifine.config.graders.fields import REFERENCE_FIELD
from verifine.graders.probes import ANSWER_FIELDS, Probe, ProbeResult
from verifine.insights.outcome import pluralize
from verifine.insights.scores import SAME_SCORE, SHOWN_REASONS, Scores
from verifine.insights.text_table import GAP, text_table
from verifine.launch.grader_report import RECORDED, GraderReport
from verifine.types import Example

_WIDEST = 120
_WIDEST_BAR = 20
_NONE = "-"
_SHOWN_ROWS = 5
_LONGEST_REASON = 200
_CONTROLS = (Probe.EMPTY, Probe.NONSENSE)


def describe_grader_report(report: GraderReport) -> str:
    """Everything, in lines that fit the terminal."""
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    sentences = [*_probe_sentences(report), *_agreement_sentences(report), *_effort(report)]
    paragraphs = [
        line
        for sentence in sentences
        for line in textwrap.wrap(sentence, width, break_long_words=False, break_on_hyphens=False)
    ]
    title = f"{report.grader.name} ({report.grader.type}) on {report.place}"
    return "\n".join(
        [title, "", *_table(report, width), "", *paragraphs, *_errors(report), *_differences(report, width)]
    )


def _table(report: GraderReport, width: int) -> list[str]:
    """One column for each series: a bar for every bin, then the numbers."""
    series, digits = list(report.series.values()), _digits(report)
    measured = [row for row in _measures(series, digits) if set(row[1:]) != {_NONE}]
    if any(scores.unscorable for scores in series):
        measured.insert(0, ("unscorable", *(str(scores.unscorable) for scores in series)))
    labels = [_range(low, high, digits) for low, high in report.bins.ranges]
    names = max(map(len, [*labels, *(row[0] for row in measured)]))
    bars = zip(labels, *_bars(report, (width - names) // len(series) - len(GAP)), strict=True)
    return text_table([("score", *report.series), *bars, *([()] if labels else []), *measured])


def _measures(series: Sequence[Scores], digits: int) -> Iterator[tuple[str, ...]]:
    yield "mean", *(_number(scores.mean, digits) for scores in series)
    yield "lowest", *(_extreme(scores, scores.lowest, digits) for scores in series)
    yield "highest", *(_extreme(scores, scores.highest, digits) for scores in series)
    yield "format accuracy", *(_number(scores.format_accuracy) for scores in series)
    yield "answer accuracy", *(_number(scores.answer_accuracy) for scores in series)
    yield "time, median", *(_time(scores.latency_s(0.5)) for scores in series)
    yield "time, 95 %", *(_time(scores.latency_s(0.95)) for scores in series)


def _bars(report: GraderReport, width: int) -> list[list[str]]:
    """`████ 12` for every bin of every series, at most `width` letters; a count above 0 always shows."""
    counts = [report.bins.count(scores.scored) for scores in report.series.values()]
    most = max((number for each in counts for number in each), default=0)
    longest = min(_WIDEST_BAR, width - len(f" {most}"))
    return [
        [f"{'█' * max(1, round(number / most * longest))} {number}" if number else "" for number in each]
        for each in counts
    ]


def _range(low: float, high: float, digits: int) -> str:
    return _number(low, digits) if low == high else f"{_number(low, digits)} to {_number(high, digits)}"


def _probe_sentences(report: GraderReport) -> Iterator[str]:
    right = [result for result in report.probes if result.attempt.probe is Probe.RIGHT]
    ways = ", ".join(f"{way} {number}" for way, number in report.best_ways)
    if ways:
        yield (
            "Each row's right answer was written plain, in tags and in \\boxed{}; the way that scores most counts "
            f"({ways})."
        )
    if right:
        yield _verdict(right, _digits(report))
    answered = {result.attempt.row.id for result in report.probes if result.attempt.probe in (Probe.RIGHT, Probe.OWN)}
    unanswered = [row for row in _rows(report.probes) if row.id not in answered]
    if unanswered:
        yield (
            f"{pluralize(len(unanswered), 'row')} could not be answered "
            f"({_listed([_line(row) for row in unanswered])}): {REFERENCE_FIELD}, or what the grader compares with, is "
            "missing, empty, or a worked solution that does not mark its answer. Fix it, or write an answer to grade "
            f"into a field {ANSWER_FIELDS[0]}."
        )
    for names, rows in _cheap_answers(report.probes).items():
        finding = (
            f"Careful: {' and '.join(names)} {'scores' if len(names) == 1 else 'score'} as much as the right answer"
        )
        if len(rows) < len(right):
            yield f"{finding} in {len(rows)} of {len(right)} rows ({_listed(rows)}); a model would learn to write that."
        else:
            yield (
                f"{finding} in every row. Either the grader rewards anything, or it wants a form that was not tried: "
                f"write an answer that it should reward into a field {ANSWER_FIELDS[0]}."
            )
    own = report.series.get(Probe.OWN.value)
    if own is not None and len(own.scored) > 1 and own.lowest == own.highest:
        yield "Careful: all of these answers score the same, so a model could learn nothing from them."


def _verdict(right: Sequence[ProbeResult], digits: int) -> str:
    """Whether the right answer is rewarded, and in which rows it is rewarded least."""
    highest = max((result.grade.score for result in right if result.grade.score is not None), default=None)
    if highest is None:
        return "Careful: the right answer could not be scored in any row."
    below = sorted(
        (result for result in right if result.grade.score != highest),
        key=lambda result: -math.inf if result.grade.score is None else result.grade.score,
    )
    if not below:
        return f"The right answer scores {_number(highest, digits)} in every row."
    places = _listed([f"{_line(result.attempt.row)}: {_scored(result.grade.score, digits)}" for result in below])
    return f"The right answer scores {_number(highest, digits)}, and less in {pluralize(len(below), 'row')} ({places})."


def _cheap_answers(results: Sequence[ProbeResult]) -> dict[tuple[Probe, ...], list[str]]:
    """The rows in which empty text or nonsense scores at least as much as the right answer."""
    right = {result.attempt.row.id: result.grade.score for result in results if result.attempt.probe is Probe.RIGHT}
    places: dict[Probe, list[str]] = {}
    for result in results:
        earned, score, probe = right.get(result.attempt.row.id), result.grade.score, result.attempt.probe
        if probe in _CONTROLS and earned is not None and score is not None and score >= earned:
            places.setdefault(probe, []).append(_line(result.attempt.row))
    return {tuple(probe for probe in places if places[probe] == rows): rows for rows in places.values()}


def _rows(results: Sequence[ProbeResult]) -> list[Example]:
    return list({result.attempt.row.id: result.attempt.row for result in results}.values())


def _line(row: Example) -> str:
    """`line 17`; the file is named elsewhere."""
    return " ".join(row.place.split()[-2:])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_ROWS} more" if len(names) > _SHOWN_ROWS else ""
    return ", ".join(names[:_SHOWN_ROWS]) + more


def _agreement_sentences(report: GraderReport) -> Iterator[str]:
    agreement = report.agreement
    if agreement is None:
        return
    if agreement.same == agreement.count:
        yield "Every answer has the score that was recorded."
    else:
        share = f"{agreement.same} of {agreement.count} answers ({agreement.same / agreement.count:.1%})"
        yield f"{share} have the score that was recorded."
    if agreement.mean_difference is not None and abs(agreement.mean_difference) > SAME_SCORE:
        direction = "higher" if agreement.mean_difference > 0 else "lower"
        yield f"On average the new score is {abs(agreement.mean_difference):.3g} {direction}."
    if agreement.newly_unscorable:
        yield f"{pluralize(agreement.newly_unscorable, 'answer')} had a score and cannot be scored now."
    if agreement.newly_scorable:
        yield f"{pluralize(agreement.newly_scorable, 'answer')} had no score and can be scored now."
    if report.left_out:
        yield f"{pluralize(report.left_out, 'saved answer')} were left out: their rows are not in this dataset."


def _effort(report: GraderReport) -> Iterator[str]:
    yield f"{pluralize(report.graded, 'answer')} graded in {_time(report.seconds)}."


def _errors(report: GraderReport) -> list[str]:
    """Why answers were unscorable or lacked a field; empty text and nonsense only add new reasons."""
    reasons: Counter[str] = Counter()
    for name, scores in report.series.items():
        if name == RECORDED:
            continue
        if name not in _CONTROLS or scores.unscorable:
            reasons.update({reason: number for reason, number in scores.reasons if reason not in reasons})
    lines = [f"{GAP}{number} x {one_line(reason, _LONGEST_REASON)}" for reason, number in reasons.most_common()]
    more = [f"{GAP}and {len(lines) - SHOWN_REASONS} more reasons"] if len(lines) > SHOWN_REASONS else []
    return ["", "Errors", *lines[:SHOWN_REASONS], *more] if lines else []


def _differences(report: GraderReport, width: int) -> list[str]:
    if report.agreement is None or not report.agreement.largest:
        return []
    digits = _digits(report)
    lines = ["", "Where they differ most"]
    for each in report.agreement.largest:
        scores = f"{_number(each.rollout.recorded.score, digits)} -> {_number(each.grade.score, digits)}"
        place = f"step {each.rollout.step}, {each.rollout.prompt_id}, sample {each.rollout.sample}"
        start = f"{GAP}{scores}{GAP}{place}{GAP}"
        lines.append(start + one_line(each.rollout.text, max(20, width - len(start))))
    return lines


def _extreme(scores: Scores, score: float | None, digits: int) -> str:
    """`0.10 (25%)`: a lowest or highest score, and the share of answers that have it."""
    share = scores.share_at(score)
    return _NONE if share is None else f"{_number(score, digits)} ({share:.0%})"


def _digits(report: GraderReport) -> int:
    """As many as are needed to tell two bins apart, and at least two."""
    edges = report.bins.edges
    width = edges[1] - edges[0] if len(edges) > 1 else 0.0
    return min(6, max(2, 1 - math.floor(math.log10(width)))) if width > 0 else 2


def _number(value: float | None, digits: int = 2) -> str:
    if value is None:
        return _NONE
    return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.3g}"


def _scored(score: float | None, digits: int) -> str:
    return "unscorable" if score is None else _number(score, digits)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return _NONE
    if seconds < 1e-4:
        return "< 0.1 ms"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
