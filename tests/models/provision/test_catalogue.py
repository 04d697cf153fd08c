from __future__ import annotations

from pathlib import Path

import pytest

from verifine.config import build_config
from verifine.config.memory import AvailableMemory
from verifine.config.recipes import RECIPES
from verifine.config.resolve import DataFacts, MachineFacts, ModelFacts, resolve
from verifine.models.provision.catalogue import CATALOGUE, find_entry

TEMPLATES = {
    *(f"Qwen3-{size}" for size in ("0.6B", "1.7B", "4B", "8B", "14B")),
    *(f"Qwen2.5-{size}-Instruct" for size in ("0.5B", "1.5B", "3B", "7B")),
    *(f"SmolLM2-{size}-Instruct" for size in ("135M", "360M", "1.7B")),
    *(f"Llama-{size}-Instruct" for size in ("3-8B", "3.2-1B", "3.2-3B")),
    *("gemma-3-270m-it", "gemma-3-1b-it", "SmolLM3-3B"),
}

MACHINE = MachineFacts(
    working_directory=Path("/work"),
    memory=AvailableMemory(place="memory of a GPU", size=80 << 30, is_main=False),
    precision="bfloat16",
)


def test_the_catalogue_has_the_templates_that_were_promised() -> None:
    assert set(CATALOGUE) == TEMPLATES


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_model_is_found_by_its_short_name_in_any_case_and_by_its_hub_id(name: str) -> None:
    entry = CATALOGUE[name]
    assert find_entry(name) is find_entry(name.upper()) is find_entry(entry.hub_id) is entry


@pytest.mark.parametrize("lora", [None, {}])
@pytest.mark.parametrize("algorithm", RECIPES)
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_template_resolves_with_every_algorithm(
    name: str, algorithm: str, lora: dict[str, object] | None
) -> None:
    entry = CATALOGUE[name]
    config = build_config(
        {
            "model": {"name": name, "lora": lora},
            "data": {"task": "largest"},
            "algorithm": {"name": algorithm},
        }
    )
    facts = ModelFacts(name=name, shape=entry.sizes.shape(config.model.lora), context_length=entry.context_length)
    resolved = resolve(config, facts, MACHINE, DataFacts(answer_tokens=256, longest_prompt=500))
    assert (resolved.model.name, resolved.algorithm.name) == (name, algorithm)
    assert resolved.to_run_config() == build_config(resolved.model_dump(mode="json"))
    assert resolved.sampling.max_new_tokens == 256
    assert resolved.memory.micro_batch_tokens >= 756
    assert 1e-7 < resolved.optim.learning_rate < 1e-3


def test_entries_say_where_each_fact_was_read() -> None:
    for entry in CATALOGUE.values():
        assert min(map(len, (entry.sources.sizes, entry.sources.licence, entry.sources.chat))) > 10
        assert entry.stop_tokens
        assert entry.gated == (entry.licence in ("llama3", "llama3.2", "gemma"))
