"""A run as training leaves it, made of fixed numbers."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verifine.config import build_config, dump_config
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.environment import Environment, write_environment
from verifine.runs.evaluations import EvaluatedSample, Evaluation, write_evaluation
from verifine.runs.events import EventSink, RunEnded, TrainingStarted
from verifine.runs.metrics import MetricLog
from verifine.runs.status import Status
from verifine.types import StepReport

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STEPS = 41
PROBLEMS = 64


def make_report(step: int, generator: random.Random) -> StepReport:
    progress = 1 / (1 + math.exp(-(step - 14) / 5))
    answer = min(1.0, max(0.0, 0.27 + 0.4 * progress + generator.gauss(0, 0.06)))
    form = min(1.0, max(0.0, 0.45 + 0.53 * progress + generator.gauss(0, 0.04)))
    generate, update = 3.1 + generator.gauss(0, 0.3), 1.9 + generator.gauss(0, 0.1)
    return StepReport(
        step=step,
        metrics={
            "reward": 0.1 * form + 0.9 * answer,
            "reward_std": 0.35,
            "frac_reward_zero_std": min(1.0, max(0.0, 0.15 + 0.3 * progress + generator.gauss(0, 0.1))),
            "groups/frac_all_right": 0.1 + 0.4 * progress,
            "groups/frac_mixed": 0.8 - 0.5 * progress,
            "groups/frac_all_wrong": 0.1 + 0.1 * progress,
            "groups/frac_mixed_expected": 0.9,
            "groups/undecidedness": (0.8 - 0.5 * progress) / 0.9,
            "format_accuracy": form,
            "answer_accuracy": answer,
            "unscorable": 0.0,
            "completions/mean_length": 34 - 12 * progress + generator.gauss(0, 1.5),
            "completions/clipped_ratio": 0.02,
            "completions/entropy_estimate": 9.0 - 8.0 * progress,
            "loss": generator.gauss(0, 0.002),
            "grad_norm": 0.8 + generator.gauss(0, 0.1),
            "kl": math.nan if step == 3 else 0.01 * progress,
            "entropy": 0.9 - 0.4 * progress,
            "learning_rate": 1e-5,
            "timing/generate_s": generate,
            "timing/grade_s": 0.15,
            "timing/estimate_s": 0.7,
            "timing/update_s": update,
            "step_time": generate + update + 0.85,
            "num_tokens": 2000.0 * step,
        },
    )


def make_evaluation(name: str, right: Sequence[bool]) -> Evaluation:
    def sample(number: int, is_right: bool) -> EvaluatedSample:
        first, second = 17 + number, 96 - 5 * number % 83
        value = first + second if is_right else first + second - 10
        text = f"{first} + {second}: add the units, then the tens.\n<answer>{value}</answer>"
        return EvaluatedSample(
            prompt_id=f"eval-{number}",
            prompt=f"<|im_start|>user\nWhat is {first} + {second}?<|im_end|>\n<|im_start|>assistant\n",
            text=text if is_right or number % 3 else "<script>alert('model text')</script> & so on",
            score=1.0 if is_right else 0.1,
            format_ok=is_right or bool(number % 3),
            answer_ok=is_right,
            gold=str(first + second),
        )

    return Evaluation(name=name, samples=tuple(sample(number, is_right) for number, is_right in enumerate(right)))


def start_run(path: Path) -> RunDirectory:
    """A run directory as it is before the first step."""
    directory = RunDirectory.create(path, "add", START)
    config = build_config({"data": {"task": "add"}, "run": {"steps": STEPS}})
    write_text(directory.config, dump_config(config))
    return directory


@pytest.fixture
def new_run(tmp_path: Path) -> RunDirectory:
    return start_run(tmp_path / "add-new")


@pytest.fixture
def finished_run(tmp_path: Path) -> RunDirectory:
    directory = start_run(tmp_path / "add-20260102-030405")
    write_environment(
        directory.environment,
        Environment(
            python="3.12.1",
            verifine="0.1.0",
            torch="2.8.0",
            transformers=None,
            platform="Linux",
            cpu="Some CPU",
            cores=4,
            memory_bytes=16 * 2**30,
        ),
    )
    times = iter([START, START + timedelta(minutes=4, seconds=12)])
    events = EventSink(directory.events, lambda: next(times))
    events.emit(TrainingStarted())
    events.emit(RunEnded(status=Status.FINISHED))
    generator = random.Random(0)
    metrics = MetricLog(directory.metrics)
    for step in range(1, STEPS + 1):
        metrics.append(make_report(step, generator))
    # 18 right before; 42 right after, of which 2 that were right are lost.
    before = [number % 7 in {1, 4} and number < 63 for number in range(PROBLEMS)]
    after = [(was_right and number not in {1, 4}) or number in range(10, 46) for number, was_right in enumerate(before)]
    write_evaluation(directory.evaluations, make_evaluation("baseline", before))
    write_evaluation(directory.evaluations, make_evaluation("step-20", after[:20] + before[20:]))
    write_evaluation(directory.evaluations, make_evaluation("final", after))
    return directory
