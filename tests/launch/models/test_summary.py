from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from verifine.launch.models.inspect import summarize_folder
from verifine.launch.models.summary import ACCELERATORS, ESTIMATED_FOR, summarize_entry, summarize_shipped
from verifine.models.provision.catalogue import CATALOGUE
from verifine.models.provision.shipped import SHIPPED

GIB = 1 << 30


@pytest.mark.parametrize("name", CATALOGUE)
def test_adapters_take_less_memory_and_several_accelerators_less_each(name: str) -> None:
    summary = summarize_entry(name, CATALOGUE[name])
    assert all(summary.lora.memory[count] < summary.full.memory[count] for count in ACCELERATORS)
    several = [summary.full.memory[count] for count in ACCELERATORS if count > 1]
    assert several == sorted(several, reverse=True)


def test_the_estimate_is_what_a_hand_calculation_gives() -> None:
    summary = summarize_entry("Qwen3-8B", CATALOGUE["Qwen3-8B"])
    weights, head = 8_190_735_360, 151_936 * 4096
    # Weights, gradients and two moments in float32, and a copy in bfloat16.
    resident = (4 * 4 + 2) * weights
    # A layer's input for each of 36 layers, and everything inside one of them.
    outputs = 4096 + 2 * 1024 + 4096 + 2 * 12_288 + 4096
    activations = 4 * (36 * 4096 + outputs) * (ESTIMATED_FOR.prompt + ESTIMATED_FOR.answer)
    logits = 4 * (32 << 20) + (128 << 20)
    update = activations + logits + 2 * 4 * head
    keys_and_values = 4 * 36 * 2 * 1024 * (512 + 8 * 512)
    assert summary.full.memory[1] == pytest.approx(resident + max(update, keys_and_values), rel=1e-3)
    # Divided by eight: 16 bytes a weight. Whole: the copy, and two layers and the head with their gradients.
    gathered = 4 * 2 * (2 * (weights - head) / 36 + head)
    divided = 16 * weights / 8 + 2 * weights
    assert summary.full.memory[8] == pytest.approx(divided + max(update + gathered, keys_and_values), rel=1e-3)


def test_the_default_rates_are_those_that_a_run_would_take() -> None:
    rates = {
        name: (summary.full.learning_rate, summary.lora.learning_rate)
        for name in ("Qwen3-0.6B", "gemma-3-1b-it", "Qwen3-1.7B")
        for summary in [summarize_entry(name, CATALOGUE[name])]
    }
    # Gemma 3 1B has a little less than a billion weights of its own, and more with adapters.
    assert rates == {"Qwen3-0.6B": (1e-5, 1e-4), "gemma-3-1b-it": (1e-5, 1e-4), "Qwen3-1.7B": (1e-6, 1e-5)}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_described_as_its_folder_would_be(name: str) -> None:
    summary = summarize_shipped(name, SHIPPED[name])
    folder = SHIPPED[name].folder
    inspected = summarize_folder(name, folder, None, sum(path.stat().st_size for path in folder.iterdir()))
    # Its licence is in its card, and its origin is Verifine: neither needs a file beside it. Its rates were measured.
    full = replace(inspected.full, learning_rate=SHIPPED[name].auto_rate)
    lora = replace(inspected.lora, learning_rate=SHIPPED[name].lora_rate)
    assert summary == replace(
        inspected, licence=SHIPPED[name].licence, gated=False, is_shipped=True, full=full, lora=lora
    )


def test_the_row_for_programs_is_json() -> None:
    row = json.loads(json.dumps(summarize_entry("Qwen3-4B", CATALOGUE["Qwen3-4B"]).row()))
    assert row["hub_id"] == "Qwen/Qwen3-4B"
    assert row["thinking_switch"] == "enable_thinking"
    assert row["full"]["memory_bytes"]["1"] > row["lora"]["memory_bytes"]["1"] > 2 * row["parameters"]
    assert set(row["sources"]) == {"sizes", "licence", "chat"}


def test_the_catalogue_is_read_without_torch() -> None:
    program = (
        "import sys; from verifine.launch.models.listing import list_models; "
        "from verifine.models.provision.cache import ModelCache, cache_folder; "
        "assert list_models(ModelCache(folder=cache_folder())); "
        "print(sorted({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
