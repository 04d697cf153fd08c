"""Supervised training of pico on chats, with the loss on what the assistant says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import fmean

import torch
from jaxtyping import Int
from pico_chats import Chat
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT = 512
WARMUP_STEPS = 50
_IGNORED = -100
_POOL = 8
"""Batches that chats are sorted among."""
_TELL_INTERVAL = 50


def make_network(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of 1.15 million random weights."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=448,
            num_hidden_layers=3,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_batches(
    chats: Iterator[Chat], tokenizer: PreTrainedTokenizerFast, size: int
) -> Iterator[tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]]:
    """Tokens and labels. Chats of like lengths share a batch, so that little is padded."""
    while True:
        rows = [tokenize(chat, tokenizer) for chat in islice(chats, _POOL * size)]
        rows.sort(key=lambda row: len(row[0]))
        for start in torch.randperm(_POOL).tolist():
            chosen = rows[start * size : (start + 1) * size]
            yield (
                pad_sequence([each for each, _ in chosen], batch_first=True, padding_value=tokenizer.pad_token_id),
                pad_sequence([each for _, each in chosen], batch_first=True, padding_value=_IGNORED),
            )


def tokenize(chat: Chat, tokenizer: PreTrainedTokenizerFast) -> tuple[Int[Tensor, " T"], Int[Tensor, " T"]]:
    """The tokens of a chat, and those of them that are learned."""
    pieces = chat.pieces()
    encoded = tokenizer.backend_tokenizer.encode_batch([piece.text for piece in pieces], add_special_tokens=False)
    tokens = [token for each in encoded for token in each.ids]
    labels = [
        token if piece.is_learned else _IGNORED
        for each, piece in zip(encoded, pieces, strict=True)
        for token in each.ids
    ]
    return torch.tensor(tokens), torch.tensor(labels)


def teach(
    network: LlamaForCausalLM,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    rate: float,
    tell: Callable[[str], None],
) -> None:
    """AdamW with a linear warm-up and a cosine to 2 % of the rate."""
    matrices = [each for each in network.parameters() if each.dim() > 1]
    vectors = [each for each in network.parameters() if each.dim() == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.98)
    )
    losses = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * rate_factor(step, steps)
        loss = answer_loss(network, *next(batches))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if len(losses) == _TELL_INTERVAL:
            tell(f"step {step + 1} of {steps}: loss {fmean(losses):.3f}")
            losses = []


def rate_factor(step: int, steps: int) -> float:
    """The share of the highest rate at a step, which counts from 0."""
    falling = 0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2
    return min((step + 1) / WARMUP_STEPS, falling)


def answer_loss(network: LlamaForCausalLM, tokens: Int[Tensor, "B T"], labels: Int[Tensor, "B T"]) -> Tensor:
    """The mean cross-entropy of the learned tokens. Padding is on the right, so no token attends to it."""
    hidden = network.model(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
    following = labels[:, 1:]
    is_learned = following != _IGNORED
    return functional.cross_entropy(network.lm_head(hidden[is_learned]), following[is_learned])
