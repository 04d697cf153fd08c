"""Keys and values of a batch of groups: a prompt's once a group, an answer's in a place of its own."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.models.attention import TreeAttention
from verifine.models.tree import Tree


class PrefillAttention:
    """Attends like a tree, and keeps every layer's keys and values."""

    def __init__(self, tree: Tree) -> None:
        self._attention = TreeAttention(tree)
        self.keys: list[Float[Tensor, "Hk T D"]] = []
        self.values: list[Float[Tensor, "Hk T D"]] = []

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        self.keys.append(key)
        self.values.append(value)
        return self._attention.attend(layer, query, key, value, scale)


class GroupCache:
    """The attention of decoding: one new token for each active row.

    Axes: A groups still held, G rows a group, R active rows, S longest prompt, M longest answer.
    A row keeps its place (group, sample) while its group is held. Groups without active rows are let go when they
    are half of those held, so that a copy is made a logarithmic number of times.
    """

    def __init__(self, prefill: PrefillAttention, tree: Tree, group_size: int, max_new_tokens: int) -> None:
        lengths = [len(prompt) for prompt in tree.prompts]
        where = torch.nn.utils.rnn.pad_sequence(list(tree.prompts), batch_first=True)
        self._prompt_keys = [keys[:, where].transpose(0, 1) for keys in prefill.keys]
        self._prompt_values = [values[:, where].transpose(0, 1) for values in prefill.values]
        longest = torch.tensor(lengths, device=where.device)
        self._is_padding: Bool[Tensor, "A S"] = torch.arange(where.shape[1], device=where.device) >= longest[:, None]
        heads, _, size = prefill.keys[0].shape
        shape = (len(lengths), group_size, heads, max_new_tokens, size)
        self._own_keys = [keys.new_empty(shape) for keys in prefill.keys]
        self._own_values = [values.new_empty(shape) for values in prefill.values]
        self._group_size = group_size
        self._places: Int[Tensor, " R"] = torch.arange(len(lengths) * group_size, device=where.device)
        self._token = -1

    def advance(self, kept: Int[Tensor, " R"] | None) -> None:
        """Begins the next token; `kept` are the indices of the active rows that go on, None for all of them."""
        self._token += 1
        if kept is None:
            return
        self._places = self._places[kept]
        held = self._is_padding.shape[0]
        alive = torch.unique(self._places // self._group_size)
        if 2 * len(alive) <= held:
            self._let_go(alive, held)

    def _let_go(self, alive: Int[Tensor, " A"], held: int) -> None:
        for layers in (self._prompt_keys, self._prompt_values, self._own_keys, self._own_values):
            for layer, tensor in enumerate(layers):
                layers[layer] = tensor[alive]
        self._is_padding = self._is_padding[alive]
        new_index = torch.zeros(held, dtype=torch.long, device=alive.device)
        new_index[alive] = torch.arange(len(alive), device=alive.device)
        group, sample = self._places // self._group_size, self._places % self._group_size
        self._places = new_index[group] * self._group_size + sample

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Stores the new keys and values [Hk, R, D] and attends with the queries [Hq, R, D]."""
        groups, size = self._is_padding.shape[0], query.shape[-1]
        heads, seen = key.shape[0], self._token + 1
        own_keys, own_values = self._own_keys[layer], self._own_values[layer]
        own_keys.flatten(0, 1)[self._places, :, self._token] = key.transpose(0, 1)
        own_values.flatten(0, 1)[self._places, :, self._token] = value.transpose(0, 1)

        placed = query.new_zeros(groups * self._group_size, query.shape[0], size)
        placed[self._places] = query.transpose(0, 1) * scale
        # [A, G, Hk, shared, D]: the query heads that share a key-value head stand side by side.
        placed = placed.view(groups, self._group_size, heads, -1, size)
        by_head = placed.transpose(1, 2).reshape(groups, heads, -1, size)
        to_prompt = by_head @ self._prompt_keys[layer].transpose(-1, -2)
        to_prompt = to_prompt.masked_fill(self._is_padding[:, None, None, :], float("-inf"))
        to_prompt = to_prompt.view(groups, heads, self._group_size, -1, to_prompt.shape[-1]).transpose(1, 2)
        to_own = placed @ own_keys[:, :, :, :seen].transpose(-1, -2)

        probabilities = torch.softmax(torch.cat((to_prompt, to_own), dim=-1), dim=-1)
        on_prompt, on_own = probabilities.split((to_prompt.shape[-1], seen), dim=-1)
        on_prompt = on_prompt.transpose(1, 2).reshape(groups, heads, -1, to_prompt.shape[-1])
        from_prompt = (on_prompt @ self._prompt_values[layer]).view(groups, heads, self._group_size, -1, size)
        attended = from_prompt.transpose(1, 2) + on_own @ own_values[:, :, :, :seen]
        by_row: Tensor = attended.reshape(groups * self._group_size, -1, size)[self._places]
        return by_row.transpose(0, 1)
