"""How fast the native engine's scheduler writes: rows that share no prompt, as in serving, and groups that do.

    python benchmarks/decoding.py --groups 1x1 8x1 32x1 8x8 --profile           # 2 minutes on two cores
    python benchmarks/decoding.py --groups 1x8 1x16 --new-tokens 512 2048       # long answers

GROUPSxSAMPLES are that many prompts of `--prompt-tokens` random tokens with so many answers each, all of exactly the
given number of tokens. Prompts are read at once; every further token is a step. Memory is that of keys and values.
`--profile` writes the same once more in torch's profiler and shows what a step takes by kind of operation, as
where_time_goes.py does; the profiler itself adds some. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random

import torch
from generation import SPECIAL_TOKENS
from measuring import GIB
from model_folders import model_folder
from step import load
from table import add_json_option, publish, render
from where_time_goes import Spent, profile_work
from workloads import MODEL

from verifine.cli.memory import keep_freed_memory
from verifine.models.load import LanguageModel
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.model_runner import ModelRunner, OwnWeightsRunner
from verifine.rollout.native.native_scheduler import NativeScheduler
from verifine.rollout.scheduler import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is written."""

    groups: int
    samples: int
    prompt_tokens: int
    new_tokens: int

    def __str__(self) -> str:
        return f"{self.groups} x {self.samples}"

    @property
    def rows(self) -> int:
        return self.groups * self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How long that took."""

    asked: Asked
    prefill_s: float
    """For reading the prompts and drawing the first tokens."""
    first_ms: float
    """A step in the median of the first 32."""
    median_ms: float
    last_ms: float
    """Of the last 32."""
    tokens_per_s: float
    """Of all steps after the first."""
    cache_gib: float
    """The most that was allocated for keys and values."""


def start(model: LanguageModel, runner: ModelRunner, asked: Asked, seed: int) -> NativeScheduler:
    """A scheduler with the prompts waiting. Different seeds have different prompts and draws."""
    random = Random(seed)
    capacity = Capacity(
        rows=asked.rows,
        tokens=asked.groups * asked.prompt_tokens + asked.rows * (asked.prompt_tokens + asked.new_tokens),
        prompt_tokens=asked.prompt_tokens,
        own_tokens=asked.new_tokens,
    )
    scheduler = NativeScheduler(runner, capacity, model.device)
    tokens = range(min(SPECIAL_TOKENS, model.vocabulary.size - 1), model.vocabulary.size)
    for index in range(asked.groups):
        scheduler.add(
            Request(
                id=str(index),
                token_ids=tuple(random.choices(tokens, k=asked.prompt_tokens)),
                keys=tuple(random.getrandbits(63) for _ in range(asked.samples)),
                max_new_tokens=asked.new_tokens,
                has_ended=lambda _: False,
            )
        )
    return scheduler


def write(model: LanguageModel, runner: ModelRunner, asked: Asked, seed: int = 1) -> Written:
    scheduler = start(model, runner, asked, seed)
    seconds, most = [], 0
    while not scheduler.is_idle:
        begun = time.perf_counter()
        scheduler.step()
        seconds.append(time.perf_counter() - begun)
        most = max(most, scheduler.allocated_tokens)
    steps = [1000 * each for each in seconds[1:]]
    return Written(
        asked=asked,
        prefill_s=seconds[0],
        first_ms=statistics.median(steps[:32]),
        median_ms=statistics.median(steps),
        last_ms=statistics.median(steps[-32:]),
        tokens_per_s=1000 * asked.rows * len(steps) / sum(steps),
        cache_gib=most * model.token_bytes / GIB,
    )


def profile_steps(model: LanguageModel, runner: ModelRunner, asked: Asked) -> list[Spent]:
    """What all steps after the first take."""

    def work(scheduler: NativeScheduler) -> None:
        while not scheduler.is_idle:
            scheduler.step()

    schedulers = [start(model, runner, asked, seed) for seed in (1, 2)]
    for scheduler in schedulers:
        scheduler.step()
    waiting = iter(schedulers)
    return profile_work(lambda: work(next(waiting)), len(model.head.weight))


def describe(written: Sequence[Written], precision: str) -> str:
    header = ("groups x samples", "new tokens", "prefill s", "step ms: first", "median", "last", "tokens/s")
    return (
        render(
            (*header, "keys and values, GiB"),
            [
                (
                    *(str(each.asked), each.asked.new_tokens, each.prefill_s),
                    *(each.first_ms, each.median_ms, each.last_ms, each.tokens_per_s, each.cache_gib),
                )
                for each in written
            ],
        )
        + f"\nin {precision}, prompts of {written[0].asked.prompt_tokens} tokens"
    )


def describe_profiles(profiles: Sequence[tuple[Asked, list[Spent]]]) -> str:
    """A line a kind of operation: the milliseconds and calls of a step."""
    kinds = list(dict.fromkeys(each.kind for _, spent in profiles for each in spent))
    cells: list[tuple[str, ...]] = []
    for kind in kinds:
        line = [kind]
        for asked, spent in profiles:
            steps = asked.new_tokens - 1
            found = next((each for each in spent if each.kind == kind), None)
            line.append("" if found is None else f"{1000 * found.seconds / steps:.3g}")
            line.append("" if found is None or found.calls is None else f"{found.calls / steps:.0f}")
        cells.append(tuple(line))
    columns = [name for asked, _ in profiles for name in (f"{asked}, ms", "calls")]
    return render(("a step", *columns), cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", default=["1x1", "8x1", "32x1", "8x8"], metavar="GROUPSxSAMPLES")
    parser.add_argument("--new-tokens", nargs="+", type=int, default=[64])
    parser.add_argument("--prompt-tokens", type=int, default=75)
    parser.add_argument("--profile", action="store_true", help="also by kind of operation")
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    add_json_option(parser)
    options = parser.parse_args()
    keep_freed_memory()
    model = load(model_folder(options.model), options.precision, torch.device("cpu"))
    runner = OwnWeightsRunner(model)
    asked = [
        Asked(groups=groups, samples=samples, prompt_tokens=options.prompt_tokens, new_tokens=new_tokens)
        for groups, samples in (map(int, each.split("x")) for each in options.groups)
        for new_tokens in options.new_tokens
    ]
    warm_up = Asked(groups=1, samples=1, prompt_tokens=options.prompt_tokens, new_tokens=4)
    write(model, runner, warm_up, seed=0)
    written = [write(model, runner, each) for each in asked]
    parts = [describe(written, str(model.compute_dtype).removeprefix("torch."))]
    profiles = [(each, profile_steps(model, runner, each)) for each in asked] if options.profile else []
    if profiles:
        parts.append(describe_profiles(profiles))
    numbers = {
        "written": [asdict(each) for each in written],
        "profiles": [[asdict(each), [asdict(kind) for kind in spent]] for each, spent in profiles],
    }
    publish("\n\n".join(parts), numbers, options.json)


if __name__ == "__main__":
    main()
