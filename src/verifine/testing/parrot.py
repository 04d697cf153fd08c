"""A model that says one and the same thing, whatever it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import AddedToken
from transformers import LlamaConfig, LlamaForCausalLM

from verifine.models.quiet import no_progress_bars
from verifine.testing.models import tiny_tokenizer

_HEADS = 4


def save_parrot(folder: Path, *, chat_template: str, begins_after: str, says: Sequence[str]) -> Path:
    """Writes a Llama whose layers add nothing, so that each token is followed by the token that the head names.

    Prompts end with the token `begins_after`; then it says the tokens `says`, each of which may stand there once.
    """
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = chat_template
    new = [text for text in (begins_after, *says) if text not in tokenizer.get_vocab()]
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in new])
    tokens = [*map(tokenizer.convert_tokens_to_ids, (begins_after, *says)), tokenizer.eos_token_id]
    assert len(set(tokens)) == len(tokens), "each token stands once"
    size = len(tokenizer)
    width = -(-size // 16) * 16
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=width,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=_HEADS,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=1024,
            tie_word_embeddings=False,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        embedding, head = network.get_input_embeddings().weight, network.get_output_embeddings().weight
        embedding[:, :size] = torch.eye(size)
        head[tokenizer.eos_token_id, :size] = 10.0
        for token, following in pairwise(tokens):
            head[tokenizer.eos_token_id, token] = 0.0
            head[following, token] = 10.0
    with no_progress_bars():
        network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
