"""Where the time of sampling and of an update goes, by kind of operation, in torch's profiler.

    python benchmarks/where_time_goes.py [--workload fixed] [--precision auto]          # 2 minutes on two cores

Samples the rollouts of a step and learns from them, each once to warm up and once in the profiler, which adds some time
itself. `vocabulary` is everything but products on tensors as long as the vocabulary; `Python` is the time in which no
operation of torch ran. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import torch
from model_folders import model_folder
from step import load, make_trainer
from table import add_json_option, publish, render
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile
from workloads import MODEL, WORKLOADS, Workload

from verifine.cli.memory import keep_freed_memory
from verifine.models.load import LanguageModel
from verifine.training.step import train_step
from verifine.training.trainer import Progress, Trainer

KINDS: dict[str, frozenset[str]] = {
    "products": frozenset({"aten::mm", "aten::addmm", "aten::addmm_", "mkldnn::_linear_pointwise"}),
    "packing of weights": frozenset({"mkldnn::_reorder_linear_weight"}),
    "attention": frozenset(
        {
            "aten::bmm",
            "aten::_scaled_dot_product_flash_attention_for_cpu",
            "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
            "aten::index_select",
            "aten::_embedding_bag",
        }
    ),
    "copies and casts": frozenset({"aten::copy_", "aten::cat", "aten::fill_", "aten::zero_"}),
    "views and allocation": frozenset(
        f"aten::{name}"
        for name in (
            "view", "as_strided", "slice", "select", "transpose", "t", "empty", "empty_strided", "empty_like",
            "reshape", "resize_", "unsqueeze", "expand", "narrow", "split", "chunk", "flatten", "unflatten", "to",
            "_to_copy", "detach", "alias", "permute", "split_with_sizes", "unbind", "clone", "contiguous", "new_empty",
            "new_zeros", "zeros", "zeros_like", "_unsafe_view", "_reshape_alias", "matmul", "linear",
        )
    ),
    "optimiser": frozenset({"aten::_fused_adamw_", "aten::_foreach_norm", "aten::_foreach_mul_"}),
}  # fmt: skip
VOCABULARY, ELEMENTWISE, PYTHON = "vocabulary", "norms, rotations, activations, sums", "Python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one kind of operation took."""

    kind: str
    seconds: float
    calls: int | None
    """None: Python itself."""


def kind_of(name: str, shapes: Sequence[Sequence[int]], vocabulary: int) -> str:
    """The kind of an operation with inputs of these shapes."""
    if name in KINDS["products"]:
        return "products"
    if any(shape and shape[-1] == vocabulary for shape in shapes):
        return VOCABULARY
    return next((kind for kind, names in KINDS.items() if name in names), ELEMENTWISE)


def group_by_kind(events: Iterable[FunctionEventAvg], wall_s: float, vocabulary: int) -> list[Spent]:
    """The most expensive first; the time in which no operation ran is Python's."""
    seconds: dict[str, float] = {}
    calls: dict[str, int] = {}
    for event in events:
        # Functions of autograd that are written in Python are named after their class.
        name = event.key or ""
        if "::" not in name or name.startswith("autograd::"):
            continue
        kind = kind_of(name, event.input_shapes or (), vocabulary)
        seconds[kind] = seconds.get(kind, 0.0) + event.self_cpu_time_total / 1e6
        calls[kind] = calls.get(kind, 0) + event.count
    spent = [Spent(kind=kind, seconds=each, calls=calls[kind]) for kind, each in seconds.items()]
    rest = max(wall_s - sum(seconds.values()), 0.0)
    return sorted([*spent, Spent(kind=PYTHON, seconds=rest, calls=None)], key=lambda each: -each.seconds)


def profile_work(work: Callable[[], object], vocabulary: int) -> list[Spent]:
    work()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        begun = time.perf_counter()
        work()
        wall_s = time.perf_counter() - begun
    return group_by_kind(profiler.key_averages(group_by_input_shape=True), wall_s, vocabulary)


def profile_step(workload: Workload, model: LanguageModel) -> dict[str, list[Spent]]:
    """Of sampling, and of an update."""
    trainer: Trainer = make_trainer(workload, model)
    training_batch = train_step(trainer, Progress()).training_batch
    assert training_batch is not None, "alternating grades give every group signal"
    prompts, rows = trainer.source.draw(0, trainer.prompts_per_step), len(model.head.weight)
    return {
        "sampling": profile_work(lambda: trainer.engine.generate(prompts, trainer.sampling), rows),
        "update": profile_work(lambda: trainer.learner.update(training_batch, trainer.algorithm.loss), rows),
    }


def describe(parts: dict[str, list[Spent]], precision: str) -> str:
    tables = []
    for name, spent in parts.items():
        whole = sum(each.seconds for each in spent)
        rows = [(each.kind, each.seconds, f"{each.seconds / whole:.0%}", each.calls) for each in spent]
        tables.append(render((f"{name}, {precision}: {whole:.3g} s", "s", "share", "calls"), rows))
    return "\n\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=tuple(WORKLOADS), default="fixed")
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    add_json_option(parser)
    options = parser.parse_args()
    keep_freed_memory()
    model = load(model_folder(options.model), options.precision, torch.device("cpu"))
    parts = profile_step(WORKLOADS[options.workload], model)
    precision = str(model.compute_dtype).removeprefix("torch.")
    numbers = {name: [asdict(each) for each in spent] for name, spent in parts.items()}
    publish(describe(parts, precision), {"precision": precision, **numbers}, options.json)


if __name__ == "__main__":
    main()
