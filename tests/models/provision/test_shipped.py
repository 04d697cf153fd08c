from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from verifine.launch.input_facts import find_licence
from verifine.models.chat.prompt import render_prompt
from verifine.models.load import LanguageModel, load_model
from verifine.models.network.decoder_trunk import DecoderTrunk
from verifine.models.provision.shipped import SHIPPED, find_shipped, shipped_rate
from verifine.models.provision.stored import provision_model
from verifine.rollout.native.native_engine import NativeEngine
from verifine.tasks import load_task
from verifine.types import Sampling

PICO = SHIPPED["pico"]


@pytest.fixture(scope="module")
def pico(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    found = provision_model("pico", tmp_path_factory.mktemp("cache"), lambda *_: pytest.fail("fetched"))
    return load_model(found, "float32")


def test_it_is_found_by_its_name_in_any_case_and_takes_no_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("pico", "Pico"):
        found = provision_model(name, cache, lambda *_: pytest.fail("fetched"))
        assert (found.name, found.folder, found.source) == (name, PICO.folder, "comes with Verifine")
    assert not cache.exists()
    assert find_shipped("picos") is None


def test_it_takes_less_than_four_megabytes_and_has_one_to_three_million_weights(pico: LanguageModel) -> None:
    assert sum(path.stat().st_size for path in PICO.folder.iterdir()) < 4_000_000
    assert 1_000_000 <= pico.parameter_count <= 3_000_000
    assert {weight.dtype for weight in load_file(PICO.folder / "model.safetensors").values()} == {torch.bfloat16}
    assert isinstance(pico.trunk, DecoderTrunk)


def test_its_card_says_that_it_is_a_toy_and_has_verifines_licence() -> None:
    assert find_licence(PICO.folder) == PICO.licence
    card = (PICO.folder / "README.md").read_text(encoding="utf-8")
    assert "toy" in card.splitlines()[next(i for i, line in enumerate(card.splitlines()) if line.startswith("# ")) + 2]


def test_plain_transformers_loads_it_and_answers_alike(pico: LanguageModel) -> None:
    network = AutoModelForCausalLM.from_pretrained(PICO.folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(PICO.folder)
    held_out = load_task("largest", seed=0, train_size=0, held_out_size=8).held_out
    prompts = [render_prompt(pico, example, 16) for example in held_out]
    groups = NativeEngine(pico).generate(prompts, Sampling(group_size=1, max_new_tokens=16, temperature=0.0))
    for example, group in zip(held_out, groups, strict=True):
        messages = [{"role": message.role, "content": message.content} for message in example.messages]
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        assert inputs["input_ids"][0].tolist() == list(group.prompt.token_ids)
        output = network.generate(**inputs, max_new_tokens=16, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert output.tolist() == list(group.rollouts[0].token_ids)
        assert group.rollouts[0].text.startswith("<answer>")


def test_any_text_can_be_asked(pico: LanguageModel) -> None:
    text = "Grüße, 世界! 12345"
    assert pico.tokenizer.decode(pico.tokenizer(text).input_ids) == text


def test_a_model_that_comes_with_verifine_has_rates_of_its_own_unless_a_folder_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pico = SHIPPED["pico"]
    assert shipped_rate("Pico", lora=False) == pico.auto_rate
    assert shipped_rate("pico", lora=True) == pico.lora_rate
    assert shipped_rate("Qwen3-4B", lora=False) is None
    (tmp_path / "pico").mkdir()
    assert shipped_rate("pico", lora=False) is None
