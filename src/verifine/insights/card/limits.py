"""What the numbers on a card do not say."""

from __future__ import annotations

from collections.abc import Iterator

from verifine.insights.card.subject import CardSubject
from verifine.insights.held_out import interval_of
from verifine.insights.outcome import pluralize
from verifine.insights.pairs import pair_up
from verifine.runs.record import RunRecord

_WIDE = 0.1
"""An interval that reaches this far to either side is called out."""


def limits(record: RunRecord, subject: CardSubject) -> list[str]:
    """Sentences of plain Markdown."""
    return [*_measured(record), *_rounding(record, subject), *_ending(record), *_always(record)]


def _measured(record: RunRecord) -> Iterator[str]:
    baseline, final = record.baseline, record.final
    if baseline is None or final is None:
        yield "These weights were not compared with the base model on held-out problems."
        return
    updates = [count for count in record.series("updates") if count is not None]
    if updates and not any(updates):
        yield "The weights were never updated: they are those of the base model."
    measure = pair_up(baseline, final).measure
    if measure is None:
        yield "No held-out answer could be scored, so nothing is known of how good it is."
        return
    interval = interval_of(final, measure)
    if interval is not None and interval[1] - interval[0] > 2 * _WIDE:
        yield f"{pluralize(len(final.problems), 'held-out problem')} leave a wide interval: measure it on more."
    yield (
        "It was measured on problems of the kind that it was trained on. Whatever else the base model can do was not "
        "measured, and may have become worse."
    )


def _rounding(record: RunRecord, subject: CardSubject) -> Iterator[str]:
    lora = record.config.model.lora
    if lora is not None and lora.base_bits is not None and record.final is not None:
        merged = "; here they are merged into the weights of the base itself, which was not evaluated"
        told = f"The results are those of the adapters on a base in {lora.base_bits} bits"
        yield f"{told}{'' if subject.form == 'adapter' else merged}."
    if subject.is_rounded and record.final is not None:
        yield (
            f"The results are those of the float32 weights that were trained; these are rounded to {subject.numbers} "
            "and were not evaluated again."
        )


def _ending(record: RunRecord) -> Iterator[str]:
    config = record.config.run
    if config.minutes is not None:
        yield (
            f"The run had {config.minutes:g} minutes, so how many steps it makes depends on the machine: here it was "
            f"{record.steps}."
        )


def _always(record: RunRecord) -> Iterator[str]:
    seed = record.config.run.seed
    yield f"This is one run with one seed ({seed}); another seed gives another model."
    yield "A reward is what the grader accepts. Read answers before you rely on it."
