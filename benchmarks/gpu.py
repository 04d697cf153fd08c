"""A training step on a CUDA device: tokens a second, share of the memory's bandwidth, and model FLOP utilisation.

    python benchmarks/gpu.py [--shape qwen3-0.6b | qwen3-4b] [--against-trl] [--json FILE]

The model has the shape of Qwen3 and random weights, so nothing is downloaded: speed does not depend on the values. A
step samples 8 answers of exactly 512 tokens to each of 8 prompts of about 512 tokens, and learns from all of them.
With `--against-trl` the same step is done by TRL (pip install trl==1.16.0) with transformers' `generate`.

    bandwidth share   bytes of weights and of keys and values that a decode step has to read, by its duration, of the
                      rate of a plain copy. A prompt's keys and values count once a group; reading prompts counts as
                      decoding, so the true share is a little higher.
    MFU               6 x body weights x tokens read + 6 x head weights x action tokens, without attention, by the
                      duration of the update, of the rate of a product of 8192-cubes in bfloat16.

On `--device cpu` it exercises the same code with `--shape tiny`, for numbers that mean nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from against_trl import check_same_work, without_trl
from ceilings import Shape, copy_bandwidth, cube_flops
from measuring import Measurement, run_child
from step import synchronized_clock
from table import add_json_option, publish, render
from transformers import AutoModelForCausalLM, Qwen3Config
from workloads import GPU, SMOKE, Workload

from verifine.models.quiet import no_progress_bars
from verifine.testing import tiny_tokenizer

NO_DEVICE = 2
"""Exit status where there is no CUDA device."""
BYTES_PER_NUMBER = 2
"""Of bfloat16."""
COPY_BYTES = 1 << 30
CUBE = 8192
SMALL_COPY_BYTES, SMALL_CUBE = 1 << 16, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """What tells one Qwen3 from another, as published with its weights."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    context: int = 40_960

    def config(self) -> Qwen3Config:
        return Qwen3Config(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            head_dim=self.head_size,
            max_position_embeddings=self.context,
            rope_theta=1_000_000.0,
            tie_word_embeddings=True,
            # Those of the tokenizer, which is a tiny one.
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )

    @property
    def cached_bytes_per_token(self) -> int:
        return 2 * self.layers * self.key_value_heads * self.head_size * BYTES_PER_NUMBER


SIZES: Mapping[str, ModelSize] = {
    "qwen3-0.6b": ModelSize(
        hidden=1024,
        layers=28,
        heads=16,
        key_value_heads=8,
        head_size=128,
        intermediate=3072,
        vocabulary=151_936,
    ),
    "qwen3-4b": ModelSize(
        hidden=2560,
        layers=36,
        heads=32,
        key_value_heads=8,
        head_size=128,
        intermediate=9728,
        vocabulary=151_936,
    ),
    "tiny": ModelSize(
        hidden=64,
        layers=2,
        heads=4,
        key_value_heads=2,
        head_size=16,
        intermediate=128,
        vocabulary=256,
        context=256,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What the device does at best."""

    copy_bytes_s: float
    cube_flop_s: float

    @classmethod
    def measure(cls, device: torch.device) -> Ceilings:
        clock, is_cuda = synchronized_clock(device), device.type == "cuda"
        return cls(
            copy_bytes_s=copy_bandwidth(COPY_BYTES if is_cuda else SMALL_COPY_BYTES, device, clock),
            cube_flop_s=cube_flops("bfloat16", CUBE if is_cuda else SMALL_CUBE, device, clock),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Seconds are medians of the steps that count."""

    shape: str
    device: str
    step_s: float
    generate_s: float
    update_s: float
    tokens_per_s: float
    """Of generation."""
    bandwidth_share: float
    mfu: float
    peak_gib: float
    copy_gb_s: float
    cube_tflops: float
    trl_s: float | None
    """None: TRL was not asked for."""
    trl_peak_gib: float | None
    ratio: float | None


def save_random_model(size: ModelSize, folder: Path, device: torch.device) -> Path:
    """A folder that loads like any other model; it takes two bytes a weight."""
    torch.manual_seed(0)
    with device:
        network = AutoModelForCausalLM.from_config(size.config(), dtype=torch.bfloat16)
    with no_progress_bars():
        network.save_pretrained(folder)
    # Every row is a token, since those without one are never sampled.
    tokens = len(tiny_tokenizer())
    tiny_tokenizer(f"<{row}>" for row in range(tokens, size.vocabulary)).save_pretrained(folder)
    return folder


def measure(name: str, workload: Workload, device: torch.device, against_trl: bool) -> Report:
    """Measures both sides in processes of their own, and the ceilings in this one once they are gone."""
    size = SIZES[name]
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(size, Path(folder), device)
        if device.type == "cuda":
            torch.cuda.empty_cache()
        common = ["--workload", workload.name, "--model", folder, "--device", str(device), "--precision", "bfloat16"]
        ours = Measurement(**run_child("step.py", common))
        trl = Measurement(**run_child("trl_step.py", common)) if against_trl else None
    if trl is not None:
        check_same_work(workload, ours, trl)
    return contrast(name, workload, str(device), ours, trl, Ceilings.measure(device))


def contrast(
    name: str, workload: Workload, device: str, ours: Measurement, trl: Measurement | None, ceilings: Ceilings
) -> Report:
    assert ours.generate_s is not None
    assert ours.update_s is not None
    size, generate_s, update_s = SIZES[name], statistics.median(ours.generate_s), statistics.median(ours.update_s)
    prompt_tokens = ours.prompt_tokens[0] // workload.rollouts
    decode_s = generate_s / workload.max_new_tokens
    return Report(
        shape=name,
        device=device,
        step_s=ours.median_s,
        generate_s=generate_s,
        update_s=update_s,
        tokens_per_s=ours.completion_tokens[0] / generate_s,
        bandwidth_share=decode_bytes(size, workload, prompt_tokens) / decode_s / ceilings.copy_bytes_s,
        mfu=update_flop(size, workload, prompt_tokens) / update_s / ceilings.cube_flop_s,
        peak_gib=ours.peak_gib,
        copy_gb_s=ceilings.copy_bytes_s / 1e9,
        cube_tflops=ceilings.cube_flop_s / 1e12,
        trl_s=None if trl is None else trl.median_s,
        trl_peak_gib=None if trl is None else trl.peak_gib,
        ratio=None if trl is None else trl.median_s / ours.median_s,
    )


def decode_bytes(size: ModelSize, workload: Workload, prompt_tokens: int) -> float:
    """What the average decode step reads: all weights, prompts once a group, and answers half written."""
    shape = Shape.of(size.config())
    weights = BYTES_PER_NUMBER * (shape.body_weights + shape.head_weights)
    seen = workload.prompts * prompt_tokens + workload.rollouts * workload.max_new_tokens / 2
    return weights + size.cached_bytes_per_token * seen


def update_flop(size: ModelSize, workload: Workload, prompt_tokens: int) -> float:
    shape = Shape.of(size.config())
    read = workload.prompts * prompt_tokens + workload.rollouts * (workload.max_new_tokens - 1)
    actions = workload.rollouts * workload.max_new_tokens
    return 6.0 * shape.body_weights * read + 6.0 * shape.head_weights * actions


def describe(report: Report) -> str:
    return render(("measured", "value"), list(asdict(report).items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=tuple(SIZES), default="qwen3-0.6b")
    parser.add_argument("--against-trl", action="store_true")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    add_json_option(parser)
    options = parser.parse_args()
    if options.device.type == "cuda" and not torch.cuda.is_available():
        print("This benchmark needs a CUDA device, and torch finds none here.", file=sys.stderr)
        sys.exit(NO_DEVICE)
    if options.against_trl and (missing := without_trl()):
        sys.exit(missing)
    workload = SMOKE if options.shape == "tiny" else GPU
    report = measure(options.shape, workload, options.device, options.against_trl)
    publish(describe(report), asdict(report), options.json)


if __name__ == "__main__":
    main()
