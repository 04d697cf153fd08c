"""Tiny models with a tokenizer of the kind that most chat models have: byte-level BPE."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PretrainedConfig, PreTrainedTokenizerFast

from verifine.testing.models import CHAT_TEMPLATE, random_network, save_with_tokenizer

Split = Literal["gpt-2", "smollm", "qwen2", "llama-bpe"]
"""How text is split before tokens are merged, by llama.cpp's names."""
SPLITS: tuple[Split, ...] = get_args(Split)

_MERGES = ("Ġ t", "h e", "Ġt he", "L a", "r g", "e s", "es t")
_DIGIT_MERGES = ("1 2", "12 3")
"""Those of tokenizers that do not split every digit off learn such ones."""
_SPECIAL = ("<pad>", "<s>", "</s>")
_PLAIN = ("<think>", "</think>")
_DIGITS = {"qwen2": r"\p{N}", "llama-bpe": r"\p{N}{1,3}"}
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_level_tokenizer(split: Split) -> PreTrainedTokenizerFast:
    """A token for each byte, a few merges, three special tokens and two that are not special."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = _MERGES if split in ("smollm", "qwen2") else _MERGES + _DIGIT_MERGES
    pairs = [(first, second) for first, second in (merge.split() for merge in merges)]
    texts = [*_SPECIAL, *alphabet, *dict.fromkeys("".join(pair) for pair in pairs)]
    model = models.BPE({text: index for index, text in enumerate(texts)}, pairs, ignore_merges=split == "llama-bpe")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = _pre_tokenizer(split)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in _SPECIAL])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in _PLAIN])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")  # noqa: S106 - a token, not a password
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _pre_tokenizer(split: Split) -> pre_tokenizers.PreTokenizer:
    if split == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if split == "smollm":
        parts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        return pre_tokenizers.Sequence(parts)
    pattern = Regex(_WORDS + _DIGITS[split] + _REST)
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(pattern, "isolated"), plain])


def save_byte_level_model(folder: Path, config: PretrainedConfig, split: Split, seed: int = 0) -> Path:
    """Writes a random model of `config`, whose vocabulary is made as large as the tokenizer's if it is smaller."""
    tokenizer = byte_level_tokenizer(split)
    config.vocab_size = max(config.vocab_size, len(tokenizer))
    return save_with_tokenizer(folder, random_network(config, seed), tokenizer)
