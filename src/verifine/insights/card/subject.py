"""What a card is about: a run, or a run as it was at one of its checkpoints, and the form of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from verifine.runs.evaluations import Evaluation
from verifine.runs.events import CheckpointSaved, EventRecord
from verifine.runs.record import RunRecord

ModelForm = Literal["merged", "adapter", "gguf"]
"""A whole model in transformers' form, LoRA adapters in peft's form, or a whole model in one GGUF file."""

CARD, CURVES = "README.md", "curves.png"
"""The files of a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSubject:
    """The files that a card lies beside."""

    form: ModelForm = "merged"
    numbers: str = "float32"
    """The type of the weights: float32, bfloat16, f16, q8_0, ..."""
    file: str | None = None
    """The name of the GGUF file; None: it has another form."""
    step: int | None = None
    """The step of the checkpoint that the weights are from; None: they are those that the run ended with."""
    repository: str | None = None
    """OWNER/NAME on the hub; None: it is a folder."""
    shows_samples: bool = True
    """Whether the card quotes prompts and answers."""

    @property
    def is_rounded(self) -> bool:
        """Whether the weights have fewer digits than those that were trained and evaluated."""
        return self.form != "adapter" and self.numbers != "float32"


def record_at(record: RunRecord, step: int) -> RunRecord:
    """The run as it was when the checkpoint of `step` was saved. An evaluation of these weights is the final one."""
    before = [(at, evaluation) for at, evaluation in record.evaluations if at <= step and evaluation.name != "final"]
    return replace(
        record,
        metrics=[report for report in record.metrics if report.step <= step],
        evaluations=[*_named_final(before, step)],
        events=[*_events_until(record.events, step)],
    )


def _named_final(evaluations: Sequence[tuple[int, Evaluation]], step: int) -> Iterator[tuple[int, Evaluation]]:
    for at, evaluation in evaluations:
        is_final = at == step and evaluation.name != "baseline"
        yield at, replace(evaluation, name="final") if is_final else evaluation


def _events_until(events: Sequence[EventRecord], step: int) -> Sequence[EventRecord]:
    """All events up to the last time that the checkpoint was saved; all of them if that is not recorded."""
    saved = [
        number
        for number, record in enumerate(events)
        if isinstance(record.event, CheckpointSaved) and record.event.step == step
    ]
    return events[: saved[-1] + 1] if saved else events
