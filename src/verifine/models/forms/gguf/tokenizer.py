"""The tokenizer within a GGUF file: byte-level BPE, and how text is split before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGUFWriter, TokenType
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from verifine.errors import ModelError

_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_SPLITS: Mapping[str, str] = {_QWEN_SPLIT: "qwen2", _LLAMA_SPLIT: "llama-bpe"}
"""llama.cpp's names of the patterns that text is split by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufTokenizer:
    """What a GGUF file says about a tokenizer."""

    split: str
    """llama.cpp's name for how text is split before merges."""
    tokens: tuple[str, ...]
    """One for each row of the vocabulary."""
    types: tuple[TokenType, ...]
    merges: tuple[str, ...]
    special_ids: Mapping[str, int]
    """bos, eos, unk and pad, those that there are."""
    adds_bos: bool
    chat_template: str


def read_gguf_tokenizer(folder: Path, rows: int) -> GgufTokenizer:
    """The tokenizer in a folder; rows of the vocabulary without a token get a name that text never has.

    Raises:
        ModelError: GGUF files are not written with such a tokenizer here.
    """
    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    written = json.loads(tokenizer.backend_tokenizer.to_str())
    split = _find_split(written, folder)
    added = tokenizer.added_tokens_decoder
    texts = {token_id: token for token, token_id in tokenizer.get_vocab().items() if token_id < rows}
    tokens, types = [], []
    for token_id in range(rows):
        tokens.append(texts.get(token_id, f"[PAD{token_id}]"))
        if token_id not in texts:
            types.append(TokenType.UNUSED)
        elif token_id not in added:
            types.append(TokenType.NORMAL)
        else:
            types.append(TokenType.CONTROL if added[token_id].special else TokenType.USER_DEFINED)
    special = {
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
        "unk": tokenizer.unk_token_id,
        "pad": tokenizer.pad_token_id,
    }
    return GgufTokenizer(
        split=split,
        tokens=tuple(tokens),
        types=tuple(types),
        merges=tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in written["model"]["merges"]),
        special_ids={name: token_id for name, token_id in special.items() if token_id is not None and token_id < rows},
        adds_bos=tokenizer.bos_token_id is not None and tokenizer.encode("a")[0] == tokenizer.bos_token_id,
        chat_template=str(tokenizer.chat_template),
    )


def add_tokenizer(writer: GGUFWriter, tokenizer: GgufTokenizer) -> None:
    writer.add_tokenizer_model("gpt2")  # llama.cpp's name for byte-level BPE
    writer.add_tokenizer_pre(tokenizer.split)
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(tokenizer.types)
    writer.add_token_merges(tokenizer.merges)
    adders = {
        "bos": writer.add_bos_token_id,
        "eos": writer.add_eos_token_id,
        "unk": writer.add_unk_token_id,
        "pad": writer.add_pad_token_id,
    }
    for name, token_id in tokenizer.special_ids.items():
        adders[name](token_id)
    writer.add_add_bos_token(tokenizer.adds_bos)
    writer.add_chat_template(tokenizer.chat_template)


def _find_split(written: dict[str, Any], folder: Path) -> str:
    """llama.cpp's name for how a tokenizer splits text.

    Raises:
        ModelError: it is none of those that are known here.
    """
    model, before = written["model"], written["pre_tokenizer"] or {}
    parts = before.get("pretokenizers", [before])
    found = None
    if model["type"] == "BPE" and not model.get("byte_fallback"):
        found = _split_name(parts)
    if found is None or bool(model.get("ignore_merges")) != (found == "llama-bpe"):
        raise ModelError(
            f"{folder} has a tokenizer that GGUF files are not written with here (byte-level BPE of Llama 3, Qwen and "
            "SmolLM are); export it as merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        )
    return found


def _split_name(parts: list[dict[str, Any]]) -> str | None:
    match parts:
        case [{"type": "ByteLevel", "use_regex": True, "add_prefix_space": False}]:
            return "gpt-2"
        case [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "use_regex": True, "add_prefix_space": False},
        ]:
            return "smollm"
        case [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False},
        ]:
            return _SPLITS.get(pattern)
    return None
