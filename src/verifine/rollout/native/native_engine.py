"""The native engine: samples from any transformers causal language model, from the weights that the learner trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from verifine.config.memory import CACHE_BYTES
from verifine.errors import EngineError
from verifine.models.answer_text import AnswerText
from verifine.models.fingerprint import Fingerprint, take_fingerprint
from verifine.models.load import LanguageModel, Weights
from verifine.models.memory.oom import OomCounter, OomRetry
from verifine.models.network.quantized import QuantizedCopy
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.thinking import ThinkingLimit, ThoughtReader
from verifine.rollout.engine import EngineTraits, rounding_nats
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.choose import token_probabilities
from verifine.rollout.native.decoding import AnswerRules, Decoding, FinishedRollout
from verifine.rollout.native.model_runner import ModelRunner, OwnWeightsRunner
from verifine.rollout.native.prefill import Prefill
from verifine.rollout.native.static import StaticDecoding
from verifine.types import Group, Prompt, Rollout, Sampling, VersionSpan

INT8_ROUNDING_NATS = 0.6
"""As `FLOAT32_ROUNDING_NATS`, of an int8 copy: measured 0.2 on the canary's probe."""

LOGITS_BYTES = 1 << 28
"""Memory for the float32 logits of one token of every sample."""

USUAL_TOKENS = 256
"""How long answers are thought to become when groups are counted that are answered at the same time. Where many become
longer and memory ends, the youngest are set aside."""

SCORED_ROWS = 64
"""Tokens whose logits `logprobs` holds at a time."""


class NativeEngine:
    """Computes what prompts and samples have in common once, and admits waiting prompts as answers end.

    Keys and values take at most `cache_bytes`, but at least what one group needs; those that have just been read lie
    beside them until they are copied (`read_budget`). When memory runs out they take less from then on; the rollouts
    stay the same.
    """

    def __init__(
        self,
        model: LanguageModel,
        cache_bytes: int = CACHE_BYTES,
        oom_counter: OomCounter | None = None,
        *,
        quantized: QuantizedCopy | None = None,
        is_static: bool | None = None,
    ) -> None:
        """`quantized` is sampled from unless `sampling.is_exact`.

        `is_static` None: static only on an accelerator, for a model without experts.
        """
        self._model = model
        self._quantized = quantized
        # Which experts compute how many tokens is decided anew at each of them, so it cannot be recorded.
        static_by_default = model.device.type == "cuda" and not model.has_experts
        self._decode = StaticDecoding if (static_by_default if is_static is None else is_static) else Decoding
        self._oom_retry = OomRetry(cache_bytes, OomCounter() if oom_counter is None else oom_counter)
        self._own_weights = OwnWeightsRunner(model)
        self._version = 0

    @property
    def traits(self) -> EngineTraits:
        quantized = self._quantized
        exact_rounding = rounding_nats(self._model.compute_dtype)
        return EngineTraits(
            is_exact=quantized is None,
            shares_weights=True,
            resident_bytes=self._own_weights.resident_bytes + (0 if quantized is None else quantized.resident_bytes),
            rounding_nats=exact_rounding if quantized is None else max(exact_rounding, INT8_ROUNDING_NATS),
        )

    def load_weights(self, weights: Weights, version: int) -> None:
        """Copies `weights` into the engine, except for tensors that it already shares."""
        own = self._model.network.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, tensor in weights.items():
                if own[name].data_ptr() != tensor.data_ptr():
                    own[name].copy_(tensor)
        if self._quantized is not None:
            self._quantized.refresh()
        self._version = version

    @torch.no_grad()
    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, samples: Sequence[range] | None = None
    ) -> list[Group]:
        for prompt in prompts:
            if len(prompt.token_ids) + sampling.max_new_tokens > self._model.context_length:
                raise EngineError(
                    f"prompt {prompt.id} has {len(prompt.token_ids)} tokens and may get {sampling.max_new_tokens} "
                    f"more, but the context of {self._model.name} ends at {self._model.context_length}. Lower "
                    "sampling.max_new_tokens."
                )
            if unknown := [token_id for token_id in prompt.token_ids if token_id not in self._model.vocabulary]:
                raise EngineError(
                    f"prompt {prompt.id} contains the id {unknown[0]}, and {self._model.name} has no token with that "
                    "id. Render prompts with the model's own tokenizer."
                )
        if not prompts:
            return []
        numbers = [range(sampling.group_size)] * len(prompts) if samples is None else samples
        sampling = replace(sampling, group_size=max(map(len, numbers)))
        return self._oom_retry.run(
            lambda cache_bytes: self._answer(
                prompts, sampling, numbers, self._capacity(prompts, sampling, cache_bytes)
            ),
            lambda cache_bytes: self._smaller(prompts, sampling, cache_bytes),
        )

    def _answer(
        self, prompts: Sequence[Prompt], sampling: Sampling, samples: Sequence[range], capacity: Capacity
    ) -> list[Group]:
        answer_text = AnswerText(self._model.tokenizer, self._model.stop_token_ids, sampling.stop)
        rules = AnswerRules(has_ended=answer_text.has_ended, thinking=ThinkingLimit.of(self._model, sampling))
        decoding = self._decode(self._runner(sampling), sampling, capacity, rules, self._model.device)
        return self._groups(prompts, list(decoding.run(prompts, samples)), answer_text, rules.thinking)

    @torch.no_grad()
    def logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]]:
        runner = self._runner(sampling)
        # What precedes a token is treated as a prompt; the tree reads common beginnings once.
        before = [
            Branch(prompt=rollout.prompt.token_ids + rollout.token_ids[:time])
            for rollout in rollouts
            for time in range(len(rollout.token_ids))
        ]
        if not before:
            return [[] for _ in rollouts]
        tokens = torch.tensor([token for rollout in rollouts for token in rollout.token_ids], device=self._model.device)
        hidden = Prefill(grow_tree(before, self._model.device)).read(runner.trunk)
        parts = [
            token_probabilities(runner.logits(rows), sampling.temperature).gather(1, drawn[:, None]).squeeze(1)
            for rows, drawn in zip(hidden.split(SCORED_ROWS), tokens.split(SCORED_ROWS), strict=True)
        ]
        logprobs = iter(torch.cat(parts).log().tolist())
        drawn = [[next(logprobs) for _ in rollout.token_ids] for rollout in rollouts]
        return [_with_forced(rollout, values) for rollout, values in zip(rollouts, drawn, strict=True)]

    def fingerprint(self) -> Fingerprint:
        return take_fingerprint(self._model.network.state_dict())

    def close(self) -> None:
        """Nothing to free: it holds no process and no file."""

    def _runner(self, sampling: Sampling) -> ModelRunner:
        if self._quantized is None or sampling.is_exact:
            return self._own_weights
        return self._quantized

    def _capacity(self, prompts: Sequence[Prompt], sampling: Sampling, cache_bytes: int) -> Capacity:
        """As many groups at a time as fit with answers of usual length, and memory for one group of any length."""
        longest = max(len(prompt.token_ids) for prompt in prompts)
        size = sampling.group_size
        by_logits = LOGITS_BYTES // (4 * len(self._model.head.weight) * size)
        groups = min(max(min(cache_bytes // self._group_bytes(prompts, sampling), by_logits), 1), len(prompts))
        return Capacity(
            rows=groups * size,
            tokens=max(cache_bytes // self._model.token_bytes, longest + size * sampling.max_new_tokens),
            prompt_tokens=longest,
            own_tokens=sampling.max_new_tokens,
        )

    def _group_bytes(self, prompts: Sequence[Prompt], sampling: Sampling) -> int:
        longest = max(len(prompt.token_ids) for prompt in prompts)
        is_static = self._decode is StaticDecoding  # which has places of full length
        answer = sampling.max_new_tokens if is_static else min(sampling.max_new_tokens, USUAL_TOKENS)
        return self._model.token_bytes * (longest + sampling.group_size * answer)

    def _smaller(self, prompts: Sequence[Prompt], sampling: Sampling, cache_bytes: int) -> int:
        """The bytes that half as many groups at a time take."""
        groups = self._capacity(prompts, sampling, cache_bytes).rows // sampling.group_size
        if groups == 1:
            raise EngineError(
                f"out of memory: one prompt with its answers ({sampling.group_size} of up to "
                f"{sampling.max_new_tokens} tokens) does not fit. Lower sampling.max_new_tokens or "
                "sampling.group_size, or take a smaller model (model.name)."
            )
        return groups // 2 * self._group_bytes(prompts, sampling)

    def _groups(
        self,
        prompts: Sequence[Prompt],
        finished: Sequence[FinishedRollout],
        answer_text: AnswerText,
        thinking: ThinkingLimit | None,
    ) -> list[Group]:
        rollouts: dict[str, dict[int, Rollout]] = {prompt.id: {} for prompt in prompts}
        reader = ThoughtReader.of(self._model.tokenizer)
        for each in finished:
            rollout = Rollout(
                prompt=each.prompt,
                token_ids=each.token_ids,
                behaviour_logprobs=each.logprobs,
                text=answer_text.of(each.token_ids),
                finish_reason=each.finish_reason,
                versions=(VersionSpan(version=self._version, tokens=len(each.token_ids)),),
                forced=() if thinking is None else tuple(thinking.forced_places(each.prompt.opened, each.token_ids)),
            )
            rollouts[each.prompt.id][each.sample] = reader.read(rollout)
        return [
            Group(prompt=prompt, rollouts=tuple(rollout for _, rollout in sorted(rollouts[prompt.id].items())))
            for prompt in prompts
        ]


def _with_forced(rollout: Rollout, logprobs: list[float]) -> list[float]:
    """The log-probabilities of a rollout's tokens; nothing else than a forced token could have been drawn."""
    forced = frozenset(rollout.forced)
    return [0.0 if place in forced else logprob for place, logprob in enumerate(logprobs)]
