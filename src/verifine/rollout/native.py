"""Verifine's own rollout engine: any transformers causal language model, on the weights the learner trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from verifine.errors import EngineError
from verifine.models.fingerprint import Fingerprint, fingerprint
from verifine.models.forward import head_weight, matmul_precision
from verifine.models.load import LanguageModel, Weights
from verifine.models.oom import OomCounter, OomRetry
from verifine.models.quantized import QuantizedTwin
from verifine.models.tree import Branch, grow_tree
from verifine.rollout.cache import Capacity
from verifine.rollout.choose import token_probabilities
from verifine.rollout.decoding import Answer, Decoding
from verifine.rollout.prefill import Prefill
from verifine.rollout.reader import OwnWeights, Reader
from verifine.rollout.static import StaticDecoding
from verifine.types import Group, Prompt, Rollout, Sampling

CACHE_BYTES = 1 << 30
"""Memory that keys and values may take where nobody has planned it."""

LOGITS_BYTES = 1 << 28
"""Memory that the logits of one token of every sample may take, in float32."""

SCORED_ROWS = 64
"""Tokens whose logits are held at a time where log-probabilities are asked for."""


class NativeEngine:
    """What prompts and samples have in common is computed once, and what ends makes room for what waits.

    Keys and values take `cache_bytes` at most, or what one group needs. Where memory runs out they take less from then
    on; the rollouts are the same.
    """

    def __init__(
        self,
        model: LanguageModel,
        cache_bytes: int = CACHE_BYTES,
        oom_counter: OomCounter | None = None,
        *,
        twin: QuantizedTwin | None = None,
        is_static: bool | None = None,
    ) -> None:
        """`twin` is what to sample from where `sampling.in_int8`; `is_static` None: where there is an accelerator."""
        self._model = model
        self._twin = twin
        self._decode = StaticDecoding if (is_static is None and model.device.type == "cuda") or is_static else Decoding
        self._room = OomRetry(cache_bytes, OomCounter() if oom_counter is None else oom_counter)
        self._version = 0

    def load_weights(self, weights: Weights, version: int) -> None:
        """Takes over `weights`. Tensors that are the engine's own already are not copied."""
        own = self._model.network.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, tensor in weights.items():
                if own[name].data_ptr() != tensor.data_ptr():
                    own[name].copy_(tensor)
        if self._twin is not None:
            self._twin.refresh()
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
        if not prompts:
            return []
        return self._room.run(
            lambda cache_bytes: self._answer(prompts, sampling, self._capacity(prompts, sampling, cache_bytes)),
            lambda cache_bytes: self._smaller(prompts, sampling, cache_bytes),
        )

    def _answer(self, prompts: Sequence[Prompt], sampling: Sampling, capacity: Capacity) -> list[Group]:
        decoding = self._decode(
            self._reader(sampling),
            sampling,
            capacity,
            lambda token_ids: self._has_ended(token_ids, sampling.stop),
        )
        with matmul_precision(self._model.device, self._model.compute_dtype):
            return self._groups(prompts, list(decoding.run(prompts)))

    @torch.no_grad()
    def logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]]:
        reader = self._reader(sampling)
        # What stands before a token is a prompt like any other, and what prompts begin with in common is read once.
        before = [
            Branch(prompt=rollout.prompt.token_ids + rollout.token_ids[:time])
            for rollout in rollouts
            for time in range(len(rollout.token_ids))
        ]
        if not before:
            return [[] for _ in rollouts]
        tokens = torch.tensor([token for rollout in rollouts for token in rollout.token_ids], device=self._model.device)
        with matmul_precision(self._model.device, self._model.compute_dtype):
            hidden = Prefill(grow_tree(before, self._model.device)).read(reader.network)
            parts = [
                token_probabilities(reader.logits(rows), sampling.temperature).gather(1, drawn[:, None]).squeeze(1)
                for rows, drawn in zip(hidden.split(SCORED_ROWS), tokens.split(SCORED_ROWS), strict=True)
            ]
        logprobs = iter(torch.cat(parts).log().tolist())
        return [[next(logprobs) for _ in rollout.token_ids] for rollout in rollouts]

    def fingerprint(self) -> Fingerprint:
        return fingerprint(self._model.network.state_dict())

    def _reader(self, sampling: Sampling) -> Reader:
        twin = self._twin if sampling.in_int8 else None
        return OwnWeights(self._model.network) if twin is None else twin

    def _capacity(self, prompts: Sequence[Prompt], sampling: Sampling, cache_bytes: int) -> Capacity:
        """Room for as many groups at a time as fit `cache_bytes`, one at least."""
        longest = max(len(prompt.token_ids) for prompt in prompts)
        size = sampling.group_size
        by_logits = LOGITS_BYTES // (4 * head_weight(self._model.network).shape[0] * size)
        groups = min(max(min(cache_bytes // self._group_bytes(prompts, sampling), by_logits), 1), len(prompts))
        return Capacity(
            groups=min(2 * groups, len(prompts)),
            stems=groups * size,
            prompt_tokens=longest,
            own_tokens=sampling.max_new_tokens,
        )

    def _group_bytes(self, prompts: Sequence[Prompt], sampling: Sampling) -> int:
        longest = max(len(prompt.token_ids) for prompt in prompts)
        # When samples have ended there are more groups than their stems need: room for the prompts of twice as many.
        return self._model.cached_bytes_per_token * (2 * longest + sampling.group_size * sampling.max_new_tokens)

    def _smaller(self, prompts: Sequence[Prompt], sampling: Sampling, cache_bytes: int) -> int:
        """Room for half as many groups as there were at a time."""
        groups = self._capacity(prompts, sampling, cache_bytes).stems // sampling.group_size
        if groups == 1:
            raise EngineError(
                f"out of memory: one prompt with its answers ({sampling.group_size} of up to "
                f"{sampling.max_new_tokens} tokens) does not fit. Lower sampling.max_new_tokens or "
                "sampling.group_size, or take a smaller model (model.name)."
            )
        return groups // 2 * self._group_bytes(prompts, sampling)

    def _has_ended(self, token_ids: Sequence[int], stop: Sequence[str]) -> bool:
        if token_ids[-1] in self._model.stop_token_ids:
            return True
        if not stop:
            return False
        # A token adds at least one byte, so a stop string that just ended lies within this many tokens.
        tail = token_ids[-max(len(text.encode()) for text in stop) - 1 :]
        text = self._model.tokenizer.decode(tail)
        return any(wanted in text for wanted in stop)

    def _groups(self, prompts: Sequence[Prompt], answers: Sequence[Answer]) -> list[Group]:
        texts = self._model.tokenizer.batch_decode([answer.token_ids for answer in answers], skip_special_tokens=True)
        rollouts: dict[str, dict[int, Rollout]] = {prompt.id: {} for prompt in prompts}
        for answer, text in zip(answers, texts, strict=True):
            rollouts[answer.prompt.id][answer.sample] = Rollout(
                prompt=answer.prompt,
                token_ids=answer.token_ids,
                behaviour_logprobs=answer.logprobs,
                text=text,
                finish_reason=answer.finish_reason,
                policy_version=self._version,
            )
        return [
            Group(prompt=prompt, rollouts=tuple(rollout for _, rollout in sorted(rollouts[prompt.id].items())))
            for prompt in prompts
        ]
