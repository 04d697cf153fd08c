"""How near Verifine comes to what this machine can do.

    python benchmarks/limits.py [--json FILE]                                     # 2 minutes on two cores

Measures the ceilings: a product of two 2048-cubes in float32, bfloat16, float16 and int8 (weights quantized once,
activations at every product), a copy, and all linear products of one decode step of SmolLM2-135M at 8 to 128 rows.
Then, of the workload `fixed`:

    decode share    rows/s of NativeEngine's decode steps at 64 rows, of the rows/s of the linear products alone
    update share    FLOP/s of LocalLearner.update, of those of the cube

where the FLOP of an update are 6 x body weights x tokens read + 6 x head weights x action tokens. A token is read once:
what all prompts begin with once, a prompt once a group, and an answer without its last token. Attention is not
counted. The head's product is done again in the backward pass to save memory; `with recomputation` counts that too, as
8 x head weights x action tokens. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from ceilings import QUANTIZED, Shape, copy_bandwidth, cube_flops, decode_rates
from model_folders import model_folder
from step import load, make_trainer, take_steps
from table import add_json_option, publish, render
from workloads import FIXED, MODEL, SMOKE, TINY, Workload

from verifine.cli.memory import keep_freed_memory
from verifine.models.load import LanguageModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.training.trainer import Trainer
from verifine.types import Group

DTYPES = ("float32", "bfloat16", "float16", QUANTIZED)
DECODE_DTYPES = ("float32", "bfloat16", QUANTIZED)
ROWS = (8, 32, 64, 128)
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the probes are."""

    cube: int
    copy_bytes: int
    workload: Workload
    steps: int


FULL = Size(cube=2048, copy_bytes=1 << 28, workload=FIXED, steps=3)
SMALL = Size(cube=64, copy_bytes=1 << 16, workload=SMOKE, steps=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What the machine can do."""

    cube_gflops: dict[str, float]
    copy_gb_s: float
    decode_rows_s: dict[str, dict[int, float]]
    """By type and number of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What Verifine does, and what part of the ceiling that is."""

    precision: str
    decode_rows: int
    decode_rows_s: float
    decode_limit_rows_s: float
    """Of the linear products alone, in the same type."""
    decode_share: float
    update_s: float
    update_flop: float
    update_share: float
    update_share_with_recomputation: float


def measure_ceilings(shape: Shape, size: Size) -> Ceilings:
    return Ceilings(
        cube_gflops={dtype: cube_flops(dtype, size.cube, CPU) / 1e9 for dtype in DTYPES},
        copy_gb_s=copy_bandwidth(size.copy_bytes, CPU) / 1e9,
        decode_rows_s={dtype: decode_rates(shape, dtype, ROWS) for dtype in DECODE_DTYPES},
    )


def measure_shares(model: LanguageModel, shape: Shape, size: Size) -> Shares:
    trainer = make_trainer(size.workload, model)
    precision = str(model.compute_dtype).removeprefix("torch.")
    rows = size.workload.rollouts
    decode_rows_s = rows / decode_seconds(trainer, model)
    limit = decode_rates(shape, precision, [rows])[rows]
    update_s, groups = update_seconds(trainer, size.steps)
    ceiling = cube_flops(precision, size.cube, CPU)
    return Shares(
        precision=precision,
        decode_rows=rows,
        decode_rows_s=decode_rows_s,
        decode_limit_rows_s=limit,
        decode_share=decode_rows_s / limit,
        update_s=update_s,
        update_flop=update_flop(shape, groups),
        update_share=update_flop(shape, groups) / update_s / ceiling,
        update_share_with_recomputation=update_flop(shape, groups, head_passes=4) / update_s / ceiling,
    )


def decode_seconds(trainer: Trainer, model: LanguageModel) -> float:
    """One decode step of all rows: what tokens after the first take, in the median of three."""
    engine = NativeEngine(replace(model, stop_token_ids=frozenset()))
    prompts = trainer.source.draw(0, trainer.prompts_per_step)
    seconds = []
    for _ in range(4):
        taken = []
        for tokens in (1, trainer.sampling.max_new_tokens):
            begun = time.perf_counter()
            engine.generate(prompts, replace(trainer.sampling, max_new_tokens=tokens))
            taken.append(time.perf_counter() - begun)
        seconds.append((taken[1] - taken[0]) / (trainer.sampling.max_new_tokens - 1))
    return statistics.median(seconds[1:])


def update_seconds(trainer: Trainer, steps: int) -> tuple[float, Sequence[Group]]:
    """The median duration of an update, and the groups of one."""
    results = take_steps(trainer, steps)
    training_batch = results[-1].training_batch
    assert training_batch is not None, "alternating grades give every group signal"
    return statistics.median(each.report.metrics["timing/update_s"] for each in results), training_batch.batch.groups


def update_flop(shape: Shape, groups: Sequence[Group], head_passes: int = 3) -> float:
    """Forward is 2 operations a weight and token, backward 4: three passes; four with one forward done again."""
    action_tokens = sum(len(rollout.token_ids) for group in groups for rollout in group.rollouts)
    body = 6.0 * shape.body_weights * tokens_read(groups)
    return body + 2.0 * head_passes * shape.head_weights * action_tokens


def tokens_read(groups: Sequence[Group]) -> int:
    """The fewest tokens that have to be read to learn from `groups`."""
    prompts = [group.prompt.token_ids for group in groups]
    alike = [len(set(column)) == 1 for column in zip(*prompts, strict=False)]
    shared = [*alike, False].index(False) if len(prompts) > 1 else 0
    answers = sum(len(rollout.token_ids) - 1 for group in groups for rollout in group.rollouts)
    return shared + sum(len(prompt) - shared for prompt in prompts) + answers


def describe(ceilings: Ceilings, shares: Shares) -> str:
    cubes = render(("product of cubes", "GFLOP/s"), list(ceilings.cube_gflops.items()))
    decode = render(
        ("linear products of a decode step", *(f"{rows} rows" for rows in ROWS)),
        [(dtype, *(rates[rows] for rows in ROWS)) for dtype, rates in ceilings.decode_rows_s.items()],
    )
    return "\n\n".join(
        [
            cubes,
            f"copy: {ceilings.copy_gb_s:.1f} GB/s, read and written",
            f"rows/s\n{decode}",
            f"decode at {shares.decode_rows} rows in {shares.precision}: {shares.decode_rows_s:.0f} rows/s, "
            f"{shares.decode_share:.0%} of its linear products' {shares.decode_limit_rows_s:.0f}",
            "update FLOP = 6 x body weights x tokens read + 6 x head weights x action tokens\n"
            f"update: {shares.update_s:.2f} s for {shares.update_flop / 1e9:.0f} GFLOP, {shares.update_share:.0%} of "
            f"the cube's rate; {shares.update_share_with_recomputation:.0%} with recomputation (8 x head weights); "
            f"{_rate(shares) / ceilings.cube_gflops['bfloat16']:.0%} of the rate of a bfloat16 cube",
        ]
    )


def _rate(shares: Shares) -> float:
    """GFLOP/s of the update."""
    return shares.update_flop / 1e9 / shares.update_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny (with small probes)")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="Verifine's")
    add_json_option(parser)
    options = parser.parse_args()
    keep_freed_memory()
    model = load(model_folder(options.model), options.precision, CPU)
    size = SMALL if options.model == TINY else FULL
    shape = Shape.of(model.network.config)
    ceilings, shares = measure_ceilings(shape, size), measure_shares(model, shape, size)
    publish(describe(ceilings, shares), {**asdict(ceilings), **asdict(shares)}, options.json)


if __name__ == "__main__":
    main()
