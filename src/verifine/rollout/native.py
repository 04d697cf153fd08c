"""Verifine's own rollout engine: any transformers causal language model, on the weights the learner trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from verifine.errors import EngineError
from verifine.models.forward import head_weight, hidden_states, matmul_precision, tree_logprobs
from verifine.models.load import LanguageModel, Weights
from verifine.models.tree import Branch, grow_tree
from verifine.rollout.cache import GroupCache, PrefillAttention
from verifine.rollout.choose import choose_tokens
from verifine.rollout.uniforms import rollout_key, uniforms
from verifine.types import FinishReason, Group, Prompt, Rollout, Sampling

CACHE_BYTES = 1 << 30
"""Memory that the keys and values of the prompts sampled at a time may take."""


@dataclass(slots=True, kw_only=True)
class _Row:
    """An answer being written."""

    prompt: Prompt
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    """None while it is being written."""


class NativeEngine:
    """Prompts are read once a group, keys and values are preallocated, finished rows leave the batch."""

    def __init__(self, model: LanguageModel, cache_bytes: int = CACHE_BYTES) -> None:
        self._model = model
        self._cache_bytes = cache_bytes
        self._version = 0

    def load_weights(self, weights: Weights, version: int) -> None:
        """Takes over `weights`. Tensors that are the engine's own already are not copied."""
        own = self._model.network.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, tensor in weights.items():
                if own[name].data_ptr() != tensor.data_ptr():
                    own[name].copy_(tensor)
        self._version = version

    @torch.no_grad()
    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Group]:
        for prompt in prompts:
            if len(prompt.token_ids) + sampling.max_new_tokens > self._model.context_length:
                raise EngineError(
                    f"prompt {prompt.id} has {len(prompt.token_ids)} tokens and may get {sampling.max_new_tokens} "
                    f"more, but the context of {self._model.name} ends at {self._model.context_length}. Lower "
                    "sampling.max_new_tokens."
                )
        groups: list[Group] = []
        for batch in self._batches(prompts, sampling):
            with matmul_precision(self._model.device, self._model.compute_dtype):
                groups += self._generate_batch(batch, sampling)
        return groups

    @torch.no_grad()
    def logprobs(self, rollouts: Sequence[Rollout], temperature: float) -> list[list[float]]:
        results = []
        for rollout in rollouts:
            branch = Branch(prompt=rollout.prompt.token_ids, completions=[rollout.token_ids])
            tree = grow_tree([branch], self._model.device)
            results.append(tree_logprobs(self._model.network, tree, temperature, self._model.compute_dtype)[0].tolist())
        return results

    def _batches(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Sequence[Prompt]]:
        """Splits prompts so that the keys and values of each part fit the cache."""
        if not prompts:
            return []
        longest = max(len(prompt.token_ids) for prompt in prompts)
        group_bytes = self._model.cached_bytes_per_token * (longest + sampling.group_size * sampling.max_new_tokens)
        size = max(self._cache_bytes // group_bytes, 1)
        return [prompts[start : start + size] for start in range(0, len(prompts), size)]

    def _generate_batch(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Group]:
        device = self._model.device
        rows = [_Row(prompt=prompt) for prompt in prompts for _ in range(sampling.group_size)]
        keys = np.array(
            [rollout_key(sampling.seed, sampling.step, p.id, g) for p in prompts for g in range(sampling.group_size)],
            dtype=np.uint64,
        )
        tree = grow_tree([Branch(prompt=prompt.token_ids) for prompt in prompts], device)
        prefill = PrefillAttention(tree)
        hidden = hidden_states(self._model.network, tree.token_ids, tree.position_ids, prefill)
        cache = GroupCache(prefill, tree, sampling.group_size, sampling.max_new_tokens)
        del prefill  # the cache has its own copy of the keys and values
        last = torch.stack([where[-1] for where in tree.prompts])
        logits = self._logits(hidden[last]).repeat_interleave(sampling.group_size, dim=0)
        positions = torch.tensor([len(row.prompt.token_ids) for row in rows], device=device)
        active = list(range(len(rows)))
        for token in range(sampling.max_new_tokens):
            chosen = self._extend(rows, active, logits, keys[active], token, sampling)
            going = [index for index, row in enumerate(active) if rows[row].finish_reason is None]
            if not going or token + 1 == sampling.max_new_tokens:
                break
            kept = None if len(going) == len(active) else torch.tensor(going, device=device)
            if kept is not None:
                active = [active[index] for index in going]
                chosen, positions = chosen[kept], positions[kept]
            cache.advance(kept)
            logits = self._logits(hidden_states(self._model.network, chosen, positions + token, cache))
        return self._groups(prompts, rows, sampling)

    def _logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]:
        return torch.nn.functional.linear(hidden, head_weight(self._model.network))

    def _extend(
        self,
        rows: Sequence[_Row],
        active: Sequence[int],
        logits: Float[Tensor, "R V"],
        keys: NDArray[np.uint64],
        token: int,
        sampling: Sampling,
    ) -> Tensor:
        """Writes the next token of every active row and says which rows that ends."""
        draws = torch.from_numpy(uniforms(keys, token)).to(logits.device)
        chosen, logprobs = choose_tokens(logits, draws, sampling.temperature)
        for index, token_id, logprob in zip(active, chosen.tolist(), logprobs.tolist(), strict=True):
            row = rows[index]
            row.token_ids.append(token_id)
            row.logprobs.append(logprob)
            if token_id in self._model.stop_token_ids or self._wrote_stop_string(row, sampling.stop):
                row.finish_reason = FinishReason.STOP
        return chosen

    def _wrote_stop_string(self, row: _Row, stop: Sequence[str]) -> bool:
        if not stop:
            return False
        # A token adds at least one byte, so a stop string that just ended lies within this many tokens.
        tail = row.token_ids[-max(len(text.encode()) for text in stop) - 1 :]
        text = self._model.tokenizer.decode(tail)
        return any(wanted in text for wanted in stop)

    def _groups(self, prompts: Sequence[Prompt], rows: Sequence[_Row], sampling: Sampling) -> list[Group]:
        texts = self._model.tokenizer.batch_decode([row.token_ids for row in rows], skip_special_tokens=True)
        rollouts = [
            Rollout(
                prompt=row.prompt,
                token_ids=tuple(row.token_ids),
                behaviour_logprobs=tuple(row.logprobs),
                text=text,
                finish_reason=row.finish_reason or FinishReason.LENGTH,
                policy_version=self._version,
            )
            for row, text in zip(rows, texts, strict=True)
        ]
        size = sampling.group_size
        return [
            Group(prompt=prompt, rollouts=tuple(rollouts[index * size : (index + 1) * size]))
            for index, prompt in enumerate(prompts)
        ]
