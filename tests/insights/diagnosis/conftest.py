"""A run that learns as it should, and whatever a test changes about it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from verifine.config import build_config
from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.findings import Finding
from verifine.runs.evaluations import Evaluation
from verifine.runs.events import record_of
from verifine.runs.record import RunRecord
from verifine.runs.status import RunStatus, Status
from verifine.types import StepReport

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

Number = float | Callable[[int], float | None] | None
"""Of every step, or made from the step's number; None: there is none."""

MakeRun = Callable[..., RunRecord]
Findings = Callable[..., dict[str, Finding]]


def healthy_metrics(step: int, generator: random.Random) -> dict[str, float]:
    """Rises from 0.3 to 0.7 around step 25, with the noise of 64 answers."""
    progress = 1 / (1 + math.exp(-(step - 25) / 6))

    def noisy(value: float, spread: float) -> float:
        return min(1.0, max(0.0, value + generator.gauss(0, spread)))

    answer, form = noisy(0.3 + 0.4 * progress, 0.05), noisy(0.7 + 0.28 * progress, 0.03)
    silent = round(8 * noisy(0.2 + 0.25 * progress, 0.1))
    return {
        "reward": 0.1 * form + 0.9 * answer,
        "reward_std": 0.35,
        "frac_reward_zero_std": silent / 8,
        "format_accuracy": form,
        "answer_accuracy": answer,
        "unscorable": 0.0,
        "grader/latency_p50": 0.001,
        "grader/latency_p95": 0.002,
        "grader/error_rate": 0.0,
        "grader/timeout_rate": 0.0,
        "completions/mean_length": 34 - 8 * progress + generator.gauss(0, 1.5),
        "completions/clipped_ratio": noisy(0.03, 0.01),
        "loss": generator.gauss(0, 0.002),
        "grad_norm": 0.8 + abs(generator.gauss(0, 0.3)),
        "entropy": 0.9 - 0.4 * progress + generator.gauss(0, 0.05),
        "clip_ratio/region_mean": 0.0,
        "mismatch/mean": 1e-6,
        "mismatch/max": 2e-5,
        "groups/trained": float(8 - silent),
        "groups/resampled": 0.0,
        "groups/missing": 0.0,
        "updates": 1.0,
        "update_skipped": 0.0,
        "memory/shortages": 0.0,
        "memory/micro_batch_tokens": 512.0,
        "timing/generate_s": 3.0,
        "timing/grade_s": 0.1,
        "step_time": 5.0,
    }


def status_after(kind: str, fields: Mapping[str, str], *, is_alive: bool) -> RunStatus:
    """The status of a run whose last event was this one."""
    if kind in set(Status):
        return RunStatus(status=Status(kind), reason=fields.get("reason"), message=fields.get("error"))
    return RunStatus(status=Status.RUNNING if is_alive else Status.KILLED)


@pytest.fixture
def make_run() -> MakeRun:
    """A finished run of so many steps; `numbers` stand in place of the healthy ones, `sections` in the config."""

    def make(
        numbers: Mapping[str, Number] = {},
        *,
        steps: int = 60,
        sections: Mapping[str, object] = {},
        evaluations: Sequence[tuple[int, Evaluation]] = (),
        events: Sequence[tuple[str, Mapping[str, str]]] = (("started", {}), ("finished", {})),
        is_alive: bool = False,
    ) -> RunRecord:
        generator = random.Random(0)

        def report(step: int) -> StepReport:
            metrics: dict[str, float | None] = {**healthy_metrics(step, generator)}
            for name, number in numbers.items():
                metrics[name] = number(step) if callable(number) else number
            return StepReport(step=step, metrics={name: value for name, value in metrics.items() if value is not None})

        defaults = {"data": {"task": "add"}, "optim": {"learning_rate": 1e-5}, "sampling": {"max_new_tokens": 64}}
        return RunRecord(
            name="run",
            config=build_config({**defaults, **sections}),
            config_text="",
            environment=None,
            events=[
                record_of({"time": (START + timedelta(minutes=place)).isoformat(), "type": type_, **fields})
                for place, (type_, fields) in enumerate(events)
            ],
            status=status_after(*events[-1], is_alive=is_alive),
            metrics=[report(step) for step in range(1, steps + 1)],
            evaluations=evaluations,
        )

    return make


@pytest.fixture
def findings(make_run: MakeRun) -> Findings:
    """What stands out in such a run, by name."""

    def find(*arguments: object, **keywords: object) -> dict[str, Finding]:
        found = diagnose(make_run(*arguments, **keywords))
        return {finding.name: finding for finding in found}

    return find
