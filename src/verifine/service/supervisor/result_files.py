"""What a job leaves to be read: the numbers of its steps, and every answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from verifine.runs.directory import RunDirectory
from verifine.runs.metrics import read_metrics
from verifine.runs.rollouts import step_of_file
from verifine.service.supervisor.held_out import HeldOutResults
from verifine.types import StepReport

STEP_METRICS, ROLLOUTS = "step_metrics.csv", "rollouts.jsonl"

COLUMNS = {
    "train_reward_mean": "reward",
    "train_reasoning_tokens_mean": "completions/reasoning_tokens",
    "train_completion_tokens_mean": "completions/mean_length",
    "train_error_mean": "grader/error_rate",
    "kl": "kl",
    "entropy": "entropy",
    "step_seconds": "step_time",
}
"""Columns of numbers that a step may have, and what the run calls them."""

PART = "rewards/"


def step_metrics(reports: Sequence[StepReport], held_out: HeldOutResults) -> bytes:
    """A row a step; step 0 is the evaluation before training. An empty cell: the step has no such number."""
    valid = {each.step: each.reward for each in held_out.results}
    trained = {report.step: report.metrics for report in reports}
    parts = sorted({name for numbers in trained.values() for name in numbers if name.startswith(PART)})
    sources = COLUMNS | {f"{name.removeprefix(PART)}.train_reward_mean": name for name in parts}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "valid_reward_mean", *sources])
    for step in sorted({*trained, *valid}):
        numbers = trained.get(step, {})
        writer.writerow([step, valid.get(step), *(numbers.get(name) for name in sources.values())])
    return text.getvalue().encode()


def read_step_metrics(run: RunDirectory, held_out: HeldOutResults) -> bytes:
    """The file of a run."""
    return step_metrics(read_metrics(run.metrics), held_out)


def read_rollouts_file(run: RunDirectory) -> Iterator[bytes]:
    """The rows of all steps that still have theirs, as the run directory has them, a file at a time."""
    for path in sorted(run.rollouts.glob("*.jsonl"), key=step_of_file):
        yield path.read_bytes()
