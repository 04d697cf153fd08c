"""What computes a model: kernels whose results differ in the last bits."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from verifine.models.load import LanguageModel
from verifine.models.network.compiled.kernels import find_kernels
from verifine.models.network.trunk import TransformersTrunk


def describe_kernels(model: LanguageModel) -> Mapping[str, str]:
    """The facts that rounding depends on, by name; two runs are equal to the bit only where all of them are."""
    on_processor = model.device.type == "cpu"
    return {
        "products": str(model.compute_dtype).removeprefix("torch."),
        "pass": "transformers" if isinstance(model.trunk, TransformersTrunk) else "own",
        # Between the products of the engine, and where its processor has the instructions these as well.
        "engine": "torch" if find_kernels() is None or not on_processor else "compiled",
        "device": _instructions() if on_processor else torch.cuda.get_device_name(model.device),
        # Sums are divided among threads.
        "threads": str(torch.get_num_threads()) if on_processor else "1",
    }


def _instructions() -> str:
    """This processor, and those of its instructions that kernels are chosen by."""
    facts = torch.cpu.get_capabilities()
    extra = [name for name in ("avx512_bf16", "amx_bf16") if facts.get(name)]
    return " ".join([str(facts.get("cpu_name", "processor")), torch.backends.cpu.get_cpu_capability().lower(), *extra])
