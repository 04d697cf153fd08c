from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize, quantize
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3TextConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
)

from verifine.errors import ModelError
from verifine.machine.disk import LOCAL_DISK
from verifine.models.forms.gguf.family import find_family, rope_divisors
from verifine.models.forms.gguf.tensors import GGUF_TYPES, GgufType, neighbouring_pairs
from verifine.models.forms.gguf.write import GgufLabel, write_gguf
from verifine.testing import save_tiny_model
from verifine.testing.byte_level import SPLITS, Split, save_byte_level_model

FILE = "model.gguf"
LABEL = GgufLabel(name="Tiny", licence="apache-2.0", base="some/base")
SHAPE: dict[str, Any] = {
    "vocab_size": 0,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA_3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
CONFIGS: dict[str, Callable[..., PretrainedConfig]] = {
    "llama": lambda **more: LlamaConfig(**SHAPE | {"head_dim": 16, "tie_word_embeddings": True} | more),
    "llama with a head of its own": lambda **more: LlamaConfig(**SHAPE | {"head_dim": 32} | more),
    "qwen2": lambda **more: Qwen2Config(**SHAPE | {"tie_word_embeddings": True} | more),
    # transformers does not read a Qwen 3's size of heads from the file: those of the published models have 128.
    "qwen3": lambda **more: Qwen3Config(**SHAPE | {"head_dim": 128, "tie_word_embeddings": False} | more),
}
SPLIT_OF: dict[str, Split] = {"qwen2": "qwen2", "qwen3": "qwen2", "llama": "smollm"}
TEXT = "Largest of the 3, 123 and 1234?\n\n  it's <think>the wörld</think></s> 🚀 end  "


def write(folder: Path, config: PretrainedConfig, numbers: GgufType, split: Split = "gpt-2") -> Path:
    source = save_byte_level_model(folder / "source", config, split)
    write_gguf(source, folder / "out" / FILE, numbers, LABEL, LOCAL_DISK)
    return folder / "out"


def load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """As plain transformers does."""
    return (
        AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE, dtype=torch.float32),
        AutoTokenizer.from_pretrained(folder, gguf_file=FILE),
    )


@torch.no_grad()
def logits(network: PreTrainedModel) -> torch.Tensor:
    found: torch.Tensor = network(input_ids=torch.arange(1, 60)[None]).logits
    return found


@torch.no_grad()
def round_weights(network: PreTrainedModel, numbers: GgufType) -> None:
    """What the type of the file does to each weight, without a file."""
    kind = GGMLQuantizationType.F16 if numbers == "f16" else GGMLQuantizationType.Q8_0
    for weight in network.parameters():
        if weight.dim() > 1:
            weight.copy_(torch.from_numpy(dequantize(quantize(weight.numpy(), kind), kind)))


def greedy(network: PreTrainedModel) -> list[int]:
    prompt = torch.arange(5, 12)[None]
    found: list[int] = network.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=16, do_sample=False, pad_token_id=0
    )[0].tolist()
    return found


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("numbers", GGUF_TYPES)
def test_what_is_read_back_computes_the_same_up_to_rounding(name: str, numbers: GgufType, tmp_path: Path) -> None:
    out = write(tmp_path, CONFIGS[name](), numbers)
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "source")
    found, _ = load(out)
    trained = logits(whole)
    error = (logits(found) - trained).abs().max() / trained.abs().max()
    assert error < (2e-3 if numbers == "f16" else 0.05)
    round_weights(whole, numbers)
    torch.testing.assert_close(logits(found), logits(whole), rtol=1e-5, atol=1e-4)
    assert greedy(found) == greedy(whole)


@pytest.mark.parametrize("name", ["llama", "qwen3"])
@pytest.mark.parametrize("numbers", GGUF_TYPES)
def test_every_weight_is_within_half_a_step_of_what_was_trained(name: str, numbers: GgufType, tmp_path: Path) -> None:
    out = write(tmp_path, CONFIGS[name](), numbers)
    trained = load_file(tmp_path / "source" / "model.safetensors")
    found, _ = load(out)
    rounded = found.state_dict()
    for key, weight in trained.items():
        error = (rounded[key] - weight).abs()
        if weight.dim() == 1:
            assert error.max() == 0, key
        elif numbers == "f16":
            assert (error <= weight.abs() * 2**-11 + 2**-25).all(), key
        else:
            largest = weight.reshape(len(weight), -1, 32).abs().amax(dim=-1, keepdim=True).expand(-1, -1, 32)
            steps = largest.reshape(weight.shape) / 127
            assert (error <= 0.51 * steps + 127 * steps * 2**-11).all(), key  # the step itself is a float16


@pytest.mark.parametrize("split", SPLITS)
def test_the_tokenizer_and_its_template_come_along(split: Split, tmp_path: Path) -> None:
    out = write(tmp_path, CONFIGS["llama"](), "f16", split)
    before = AutoTokenizer.from_pretrained(tmp_path / "source")
    _, after = load(out)
    assert after(TEXT).input_ids == before(TEXT).input_ids
    assert after.decode(after(TEXT).input_ids) == before.decode(before(TEXT).input_ids)
    assert after.chat_template == before.chat_template
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        assert getattr(after, name) == getattr(before, name), name
    assert GGUFReader(out / FILE).get_field("tokenizer.ggml.pre").contents() == split


def test_rows_without_a_token_have_a_name_that_no_text_is_read_as(tmp_path: Path) -> None:
    out = write(tmp_path, CONFIGS["qwen2"](vocab_size=300), "f16", "qwen2")
    before = AutoTokenizer.from_pretrained(tmp_path / "source")
    network, after = load(out)
    assert len(before) < 300
    assert network.config.vocab_size == 300
    text = "[PAD299] [PAD280] the"
    assert after(text).input_ids == before(text).input_ids


def test_the_file_says_where_it_comes_from(tmp_path: Path) -> None:
    reader = GGUFReader(write(tmp_path, CONFIGS["llama"](), "q8_0") / FILE)
    expected = {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "general.license": "apache-2.0",
        "general.base_model.0.repo_url": "https://huggingface.co/some/base",
        "general.file_type": 7,
        "llama.context_length": 256,
        "llama.attention.key_length": 16,
        "tokenizer.ggml.add_bos_token": False,
    }
    assert {name: reader.get_field(name).contents() for name in expected} == expected


def test_a_tokenizer_that_begins_texts_with_bos_says_so(tmp_path: Path) -> None:
    source = save_byte_level_model(tmp_path / "source", CONFIGS["llama"](), "llama-bpe")
    tokenizer = AutoTokenizer.from_pretrained(source)
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save_pretrained(source)
    write_gguf(source, tmp_path / FILE, "f16", LABEL, LOCAL_DISK)
    assert GGUFReader(tmp_path / FILE).get_field("tokenizer.ggml.add_bos_token").contents() is True


def test_rows_that_blocks_do_not_divide_stay_float16(tmp_path: Path) -> None:
    out = write(tmp_path, CONFIGS["llama"](intermediate_size=80), "q8_0")
    kinds = {tensor.name: tensor.tensor_type for tensor in GGUFReader(out / FILE).tensors}
    assert kinds["blk.0.ffn_down.weight"] is GGMLQuantizationType.F16
    assert kinds["blk.0.ffn_up.weight"] is GGMLQuantizationType.Q8_0
    assert kinds["blk.0.attn_norm.weight"] is GGMLQuantizationType.F32


def test_rows_that_turn_together_become_neighbours() -> None:
    rows = torch.arange(2 * 6)[:, None]  # two heads of six
    expected = [head * 6 + row for head in range(2) for half in range(3) for row in (half, half + 3)]
    assert neighbouring_pairs(rows, 2).flatten().tolist() == expected


def test_long_context_models_divide_their_frequencies(tmp_path: Path) -> None:
    config = CONFIGS["llama"](rope_parameters=LLAMA_3_ROPE)
    out = write(tmp_path, config, "q8_0")
    (found,) = [tensor for tensor in GGUFReader(out / FILE).tensors if tensor.name == "rope_freqs.weight"]
    assert found.tensor_type is GGMLQuantizationType.F32
    values = dequantize(found.data, found.tensor_type)
    assert values.tolist() == pytest.approx(naive_divisors(), rel=1e-5)
    assert len({*np.round(values, 3)}) > 2, "some are divided fully, some partly, some not"
    assert rope_divisors(find_family(save_byte_level_model(tmp_path / "plain", CONFIGS["llama"](), "gpt-2"))) is None


def naive_divisors(dim: int = 16) -> list[float]:
    """One frequency at a time, as the paper's appendix of Llama 3.1 is implemented by its authors."""
    divisors = []
    for place in range(0, dim, 2):
        wavelength = 2 * math.pi * 10_000.0 ** (place / dim)
        if wavelength < 64 / 4:
            divisors.append(1.0)
        elif wavelength > 64:
            divisors.append(8.0)
        else:
            smooth = (64 / wavelength - 1) / (4 - 1)
            divisors.append(1 / ((1 - smooth) / 8 + smooth))
    return divisors


REFUSED: dict[str, tuple[PretrainedConfig, str]] = {
    "another family": (Gemma3TextConfig(**SHAPE | {"head_dim": 16}), "is a gemma3_text model"),
    "a mixture of experts": (
        Qwen3MoeConfig(**SHAPE | {"head_dim": 16, "num_experts": 2, "moe_intermediate_size": 32}),
        "is a qwen3_moe model",
    ),
    "biases": (LlamaConfig(**SHAPE | {"attention_bias": True}), "has biases"),
    "a window": (Qwen2Config(**SHAPE | {"use_sliding_window": True, "sliding_window": 8}), "a sliding window"),
    "another activation": (LlamaConfig(**SHAPE | {"hidden_act": "gelu"}), "the activation gelu"),
    "another scaling": (
        LlamaConfig(**SHAPE | {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}),
        "of the kind linear",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_lost_is_refused_by_name(name: str, tmp_path: Path) -> None:
    config, told = REFUSED[name]
    with pytest.raises(ModelError, match=rf"{told}.*convert_hf_to_gguf"):
        write(tmp_path, config, "f16")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    source = save_tiny_model(tmp_path / "source")
    with pytest.raises(ModelError, match="has a tokenizer that GGUF files are not written with"):
        write_gguf(source, tmp_path / FILE, "f16", LABEL, LOCAL_DISK)


@pytest.mark.parametrize(("key", "told"), [("model.layers.0.extra.weight", "no place"), ("model.norm.weight", "")])
def test_a_tensor_without_a_place_is_refused(key: str, told: str, tmp_path: Path) -> None:
    source = save_byte_level_model(tmp_path / "source", CONFIGS["llama"](), "gpt-2")
    weights = load_file(source / "model.safetensors")
    save_file(weights | {key: torch.ones(64)}, source / "model.safetensors", {"format": "pt"})
    if not told:
        write_gguf(source, tmp_path / FILE, "f16", LABEL, LOCAL_DISK)
        return
    with pytest.raises(ModelError, match=rf"{told} for the tensor {key}"):
        write_gguf(source, tmp_path / FILE, "f16", LABEL, LOCAL_DISK)


def test_numbers_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    source = save_byte_level_model(tmp_path / "source", CONFIGS["llama"](), "gpt-2")
    weights = load_file(source / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = 7e4
    save_file(weights, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"layers.1.mlp.up_proj.weight has numbers beyond 65504.*q8_0"):
        write_gguf(source, tmp_path / FILE, "f16", LABEL, LOCAL_DISK)
    write_gguf(source, tmp_path / FILE, "q8_0", LABEL, LOCAL_DISK)
