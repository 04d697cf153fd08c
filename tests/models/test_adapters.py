from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from verifine.errors import ModelError
from verifine.models.adapters import with_adapter, with_own_template
from verifine.models.load import LanguageModel
from verifine.models.network.lora import AdapterBase, attach_lora, save_adapter
from verifine.models.network.tree import Branch, grow_tree
from verifine.rollout.native.prefill import Prefill
from verifine.testing import load_tiny_model, save_tiny_model


@pytest.fixture
def base(tmp_path: Path) -> LanguageModel:
    return load_tiny_model(tmp_path / "base", "qwen3")


def make_adapter(
    base: LanguageModel, folder: Path, seed: int, targets: str = "all-linear", *, rslora: bool = False
) -> Path:
    """A random adapter, saved as training saves one."""
    names = targets if targets == "all-linear" else [targets]
    adapted = attach_lora(base.copy(), 4, 8, names, seed, rslora=rslora)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in adapted.network.named_parameters():
            if ".lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    save_adapter(adapted.network, folder, AdapterBase(name=base.name, revision=None))
    return folder


@torch.no_grad()
def logits(model: LanguageModel) -> Tensor:
    tree = grow_tree([Branch(prompt=(5, 9, 40, 41))], model.device)
    return model.head.logits(Prefill(tree).read(model.trunk.for_inference()))[0]


@pytest.mark.parametrize(("targets", "rslora"), [("all-linear", False), ("q_proj", False), ("all-linear", True)])
def test_an_adapter_computes_what_peft_computes(
    base: LanguageModel, tmp_path: Path, targets: str, rslora: bool
) -> None:
    folder = make_adapter(base, tmp_path / "adapter", seed=1, targets=targets, rslora=rslora)
    adapted = with_adapter(base, folder, "one")
    plain = AutoModelForCausalLM.from_pretrained(base.network.name_or_path)
    with torch.no_grad():
        wanted = PeftModel.from_pretrained(plain, folder)(input_ids=torch.tensor([[5, 9, 40, 41]])).logits[0, -1]
    torch.testing.assert_close(logits(adapted), wanted, atol=2e-4, rtol=1e-4)
    assert adapted.name == "one"


def test_adapters_share_the_tensors_of_their_base_and_leave_it_as_it_is(base: LanguageModel, tmp_path: Path) -> None:
    before = logits(base)
    one = with_adapter(base, make_adapter(base, tmp_path / "one", seed=1), "one")
    two = with_adapter(base, make_adapter(base, tmp_path / "two", seed=2), "two")
    assert torch.equal(logits(base), before)
    assert not torch.allclose(logits(one), logits(two))
    own = {parameter.data_ptr() for parameter in base.network.parameters()}
    for adapted in (one, two):
        weights = {each.data_ptr() for name, each in adapted.network.named_parameters() if ".lora_" not in name}
        assert weights == own


def test_an_adapter_of_another_base_is_refused(base: LanguageModel, tmp_path: Path) -> None:
    folder = make_adapter(base, tmp_path / "adapter", seed=1)
    other = load_tiny_model(tmp_path / "other", "qwen2")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "r": 5}))
    for wrong in (base, other):
        with pytest.raises(ModelError, match="other layers"):
            with_adapter(wrong, folder, "x")


@pytest.mark.parametrize(
    ("change", "named"),
    [({"use_dora": True}, "use_dora"), ({"peft_type": "IA3"}, "peft_type"), ({"r": "many"}, "adapter_config"),
     ({"modules_to_save": ["lm_head"]}, "modules_to_save"), ({"target_modules": ["nowhere"]}, "nowhere")],
)  # fmt: skip
def test_an_adapter_of_another_kind_is_refused(
    base: LanguageModel, tmp_path: Path, change: dict[str, object], named: str
) -> None:
    folder = make_adapter(base, tmp_path / "adapter", seed=1)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=named):
        with_adapter(base, folder, "x")


def test_a_folder_that_is_no_adapter_is_refused(base: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="adapter_config"):
        with_adapter(base, save_tiny_model(tmp_path / "model"), "x")
    folder = make_adapter(base, tmp_path / "adapter", seed=1)
    (folder / "adapter_model.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors"):
        with_adapter(base, folder, "x")


def test_an_adapter_may_have_a_chat_template_of_its_own(base: LanguageModel, tmp_path: Path) -> None:
    adapted = with_adapter(base, make_adapter(base, tmp_path / "one", seed=1), "one")
    assert with_own_template(adapted, None) is adapted
    assert with_own_template(adapted, str(base.tokenizer.chat_template)) is adapted
    own = with_own_template(adapted, "{{ messages[0].content }}")
    assert own.tokenizer.chat_template == "{{ messages[0].content }}"
    assert base.tokenizer.chat_template != own.tokenizer.chat_template
