from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from verifine.errors import DiskError, ModelError
from verifine.models.export import rehearse_saving, save_model
from verifine.models.load import LanguageModel, load_model
from verifine.models.network.lora import attach_lora
from verifine.models.provision.stored import ProvisionedModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model, save_tiny_model
from verifine.testing.disk import FULL, Fault, FaultyDisk
from verifine.testing.models import CHAT_TEMPLATE
from verifine.types import Prompt, Sampling


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_model_gives_the_same_greedy_text_in_plain_transformers(
    architecture: Architecture, tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path / "base", architecture)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(1e-4)  # less than bfloat16 could express
    save_model(model, tmp_path / "model")

    network = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert tokenizer.chat_template == model.tokenizer.chat_template
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, model.network.state_dict()[name])
    token_ids = tokenizer("Largest of 3, 14").input_ids
    inputs = torch.tensor([token_ids])
    theirs = network.generate(inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=20, do_sample=False)
    sampling = Sampling(group_size=1, max_new_tokens=20, temperature=0.0)
    (group,) = NativeEngine(model).generate([Prompt(id="p", token_ids=tuple(token_ids), item={})], sampling)
    assert tokenizer.decode(theirs[0, len(token_ids) :], skip_special_tokens=True) == group.rollouts[0].text


def test_saving_again_replaces_the_folder(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path / "base")
    save_model(model, tmp_path / "model")
    (tmp_path / "model" / "stale").touch()
    save_model(model, tmp_path / "model")
    assert not (tmp_path / "model" / "stale").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "verifine-home") == ["base", "model"]


def test_a_rehearsal_writes_all_files_but_those_with_tensors(tmp_path: Path) -> None:
    model = attach_lora(load_tiny_model(tmp_path / "base"), 4, 8, "all-linear", 0)
    save_model(model, tmp_path / "model")
    rehearse_saving(model, tmp_path / "rehearsal")
    real, tried = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "model", tmp_path / "rehearsal")
    )
    assert {str(path) for path in real.keys() - tried.keys()} == {
        "model.safetensors",
        "adapter/adapter_model.safetensors",
    }
    assert tried == {path: real[path] for path in tried}


def give_tokenizer_an_object(model: LanguageModel) -> None:
    model.tokenizer.init_kwargs["note"] = object()


def give_config_an_object(model: LanguageModel) -> None:
    model.network.config.note = object()


def give_network_a_sparse_tensor(model: LanguageModel) -> None:
    model.network.register_buffer("extra", torch.zeros(2, 2).to_sparse())


def share_undeclared_weights(model: LanguageModel) -> None:
    first, second = model.network.model.layers
    second.mlp.up_proj.weight = first.mlp.up_proj.weight


def share_a_part_of_a_weight(model: LanguageModel) -> None:
    first, second = model.network.model.layers
    second.mlp.up_proj.weight = torch.nn.Parameter(first.mlp.up_proj.weight[:2])


UNSAVABLE: dict[str, tuple[Callable[[LanguageModel], None], str]] = {
    "a tokenizer": (give_tokenizer_an_object, "tokenizer_config.json"),
    "a config": (give_config_an_object, "config.json"),
    "a tensor without a format": (give_network_a_sparse_tensor, "model.safetensors"),
    "tied weights that are not declared": (share_undeclared_weights, "model.safetensors"),
    "a view of another weight": (share_a_part_of_a_weight, "model.safetensors"),
}


@pytest.mark.parametrize("name", UNSAVABLE)
@pytest.mark.parametrize("save", [rehearse_saving, save_model])
def test_what_cannot_be_saved_is_refused_by_its_file_and_leaves_nothing(
    name: str, save: Callable[[LanguageModel, Path], None], tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path / "base")
    spoil, file = UNSAVABLE[name]
    spoil(model)
    with pytest.raises(ModelError, match=f"tiny-llama can be trained but not saved: .*{file}"):
        save(model, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir() if "model" in path.name] == []


@pytest.mark.parametrize("save", [rehearse_saving, save_model])
def test_a_model_with_its_template_in_a_file_of_its_own_keeps_it(
    save: Callable[[LanguageModel, Path], None], tmp_path: Path
) -> None:
    folder = save_tiny_model(tmp_path / "base")
    (folder / "chat_template.jinja").write_text("{# ü #}" + CHAT_TEMPLATE, encoding="utf-8")
    model = load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")
    save(model, tmp_path / "model")
    assert AutoTokenizer.from_pretrained(tmp_path / "model").chat_template == "{# ü #}" + CHAT_TEMPLATE


def test_a_disk_that_is_full_says_so(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path / "base")
    disk = FaultyDisk(tmp_path, Fault(point="sync .model.tmp/config.json 1", moment="before", error=FULL))
    with pytest.raises(DiskError, match="free some space") as raised:
        save_model(model, tmp_path / "model", disk)
    assert raised.value.is_full
    assert not (tmp_path / "model").exists()
