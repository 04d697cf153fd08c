"""How the cost of a step grows with rollouts, with tokens, and with the size of a group.

    python benchmarks/scaling.py [--json FILE]                                    # about 15 minutes on two cores

Three series of SmolLM2-135M-Instruct, exact answer lengths, every group with signal: 8 to 256 rollouts in groups of 8
with 64 new tokens; 16 to 256 new tokens for 64 rollouts; and groups of 2 to 64 for one prompt of 300 tokens with 64
new tokens. Cost should be linear in rollouts and in tokens (the last column is level but for attention), and grow by
less than the group, since a prompt is read once a group. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from model_folders import model_folder
from step import load, measure
from table import add_json_option, publish, render
from workloads import FIXED, LONG_PROMPT, MODEL, SMOKE, TINY, Workload

from verifine.cli.memory import keep_freed_memory
from verifine.models.load import LanguageModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Seconds are medians of the steps that count."""

    series: str
    rollouts: int
    group_size: int
    new_tokens: int
    generate_s: float
    update_s: float
    step_ms_per_rollout: float
    step_ms_per_token: float
    """Of answers."""


def series(is_small: bool) -> dict[str, list[Workload]]:
    """What is measured, by the name of what grows."""
    if is_small:
        return {"rollouts": [SMOKE, replace(SMOKE, prompts=4)]}
    return {
        "rollouts": [replace(FIXED, prompts=prompts) for prompts in (1, 2, 4, 8, 16, 32)],
        "tokens": [replace(FIXED, max_new_tokens=tokens) for tokens in (16, 32, 64, 128, 256)],
        "group": [replace(LONG_PROMPT, prompts=1, group_size=size) for size in (2, 4, 8, 16, 32, 64)],
    }


def measure_point(name: str, workload: Workload, model: LanguageModel, steps: int) -> Point:
    measured = measure(workload, model, steps)
    assert measured.generate_s is not None
    assert measured.update_s is not None
    generate_s, update_s = statistics.median(measured.generate_s), statistics.median(measured.update_s)
    step_ms = 1000 * (generate_s + update_s)
    return Point(
        series=name,
        rollouts=workload.rollouts,
        group_size=workload.group_size,
        new_tokens=workload.max_new_tokens,
        generate_s=generate_s,
        update_s=update_s,
        step_ms_per_rollout=step_ms / workload.rollouts,
        step_ms_per_token=step_ms / measured.completion_tokens[0],
    )


def describe(points: Sequence[Point]) -> str:
    header = ("grows", "rollouts", "group", "new tokens", "generate s", "update s", "ms a rollout", "ms a token")
    return render(header, [tuple(asdict(point).values()) for point in points])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny (with small workloads)")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--steps", type=int, default=1, help="measured steps of each point")
    add_json_option(parser)
    options = parser.parse_args()
    keep_freed_memory()
    model = load(model_folder(options.model), options.precision, torch.device("cpu"))
    points = []
    for name, workloads in series(is_small=options.model == TINY).items():
        for workload in workloads:
            points.append(measure_point(name, workload, model, options.steps))
            print(describe(points[-1:]), file=sys.stderr, flush=True)
    publish(describe(points), [asdict(point) for point in points], options.json)


if __name__ == "__main__":
    main()
