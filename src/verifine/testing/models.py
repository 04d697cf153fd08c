"""Tiny models: real architectures with random weights and a character tokenizer, in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.models.quiet import no_progress_bars
from verifine.testing.tiny_configs import Architecture, tiny_config

CHAT_TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'][0] }}:{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>a:{% endif %}"
)

_CHARACTERS = [chr(code) for code in range(32, 127)] + ["\n"]
_SPECIAL = ["<pad>", "<s>", "</s>"]


def tiny_tokenizer(words: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """One token for each character: printable ASCII and the newline, with a chat template.

    `words` are more tokens: a model may write them, but text is never read as them.
    """
    vocabulary = {text: index for index, text in enumerate([*_SPECIAL, *_CHARACTERS, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))  # noqa: S106 - a token, not a password
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")  # noqa: S106
    fast.chat_template = CHAT_TEMPLATE
    return fast


def save_tiny_model(
    folder: Path,
    architecture: Architecture = "llama",
    seed: int = 0,
    *,
    words: Sequence[str] = (),
    padding: int = 0,
    tied: bool | None = None,
) -> Path:
    """Writes a tiny random model as a folder that loads like any other.

    Args:
        folder: Where to.
        architecture: Of the network.
        seed: Decides the weights.
        words: See `tiny_tokenizer`.
        padding: Rows of the vocabulary without a token, added to the same weights. They would be likely tokens.
        tied: See `tiny_config`.
    """
    tokens = len(_SPECIAL) + len(_CHARACTERS) + len(words)
    config = tiny_config(architecture, tokens, tied=tied)
    return save_with_tokenizer(folder, random_network(config, seed, padding), tiny_tokenizer(words))


def save_tiny_reasoning_model(folder: Path, template: str, seed: int = 0) -> Path:
    """Writes a tiny random Qwen 3 as a folder, with `template` and the tokens that it writes.

    `<think>` and `</think>` are tokens of the answer's text, `<|im_start|>` and `<|im_end|>` special ones, as in Qwen
    3's own tokenizer.
    """
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "extra_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = template
    config = tiny_config("qwen3", len(tokenizer))
    config.eos_token_id = tokenizer.eos_token_id
    return save_with_tokenizer(folder, random_network(config, seed), tokenizer)


def random_network(config: PretrainedConfig, seed: int, padding: int = 0) -> PreTrainedModel:
    """`padding`: rows of the vocabulary beyond the tokenizer's."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AutoModelForCausalLM.from_config(config)
        for name, parameter in network.named_parameters():
            # Wider than the usual initialisation, so that answers differ and log-probabilities are far from uniform.
            if parameter.dim() > 1:
                parameter.data.mul_(6)
            elif name.endswith("bias"):
                parameter.data.normal_(std=0.1)
        if padding:
            _pad(network, padding)
    assert isinstance(network, PreTrainedModel)
    return network


def save_with_tokenizer(folder: Path, network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    """Writes both as a folder that can be loaded."""
    with no_progress_bars():
        network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def with_chat_template(folder: Path, template: str) -> Path:
    """Gives the model in `folder` another chat template."""
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


@torch.no_grad()
def _pad(network: PreTrainedModel, rows: int) -> None:
    tokens = network.config.vocab_size
    network.resize_token_embeddings(tokens + rows, mean_resizing=False)
    for layer in (network.get_input_embeddings(), network.get_output_embeddings()):
        layer.weight[tokens:] = 1.5 * layer.weight[:rows]


def load_tiny_model(
    folder: Path, architecture: Architecture = "llama", seed: int = 0, *, words: Sequence[str] = (), padding: int = 0
) -> LanguageModel:
    """Saves a tiny model in `folder` and loads it in float32."""
    saved = save_tiny_model(folder, architecture, seed, words=words, padding=padding)
    return load_model(ProvisionedModel(name=f"tiny-{architecture}", folder=saved, source="random"), "float32")
