"""Decoding for accelerators: fixed shapes, one recorded CUDA graph per token, and few synchronisations with the host.

An accelerator reads all weights for one row as fast as for hundreds, but waits whenever the host decides something. So
here every sample has a row of its own from the first token to the last, nothing is moved, and each token costs the host
one launch. Rows that have ended keep generating; what they write after their end is cut off. Samples draw the same
tokens as in `decoding`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.models.network.attention import Heads, mask_bias
from verifine.models.network.tree import Branch, Tree, grow_tree
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.choose import Draws, choose_tokens
from verifine.rollout.native.decoding import AnswerRules, FinishedRollout
from verifine.rollout.native.model_runner import ModelRunner
from verifine.rollout.native.prefill import Prefill
from verifine.rollout.native.shared_prompt import Grouping, KeyValues, attend_to
from verifine.rollout.native.thinking import ThinkingRows
from verifine.rollout.native.uniforms import rollout_keys, uniforms
from verifine.types import FinishReason, Prompt, Sampling

CHECK_INTERVAL = 32
"""Tokens between two checks of which rollouts have ended."""

WARM_UPS = 2
"""Steps taken before one is recorded: libraries allocate what they need in their first."""


class StaticCache:
    """Keys and values in fixed places. R = P * G rows, S longest prompt, M longest answer.

    Every step attends to all S + M places; a bias that follows `token` masks the places that are not written yet.
    """

    def __init__(self, prefill: Prefill, tree: Tree, group_size: int, max_new_tokens: int) -> None:
        device = tree.token_ids.device
        lengths = torch.tensor([len(where) for where in tree.prompts], device=device)
        places = torch.nn.utils.rnn.pad_sequence(list(tree.prompts), batch_first=True)
        self._prompts = [
            tuple(tensor[:, places].transpose(0, 1).contiguous() for tensor in pair)
            for pair in zip(prefill.keys, prefill.values, strict=True)
        ]
        rows = len(lengths) * group_size
        self._own = [
            tuple(tensor.new_zeros(rows, tensor.shape[0], max_new_tokens, tensor.shape[2]) for tensor in pair)
            for pair in zip(prefill.keys, prefill.values, strict=True)
        ]
        self._lengths = lengths.repeat_interleave(group_size)
        self._grouping = Grouping(shape=(len(lengths), group_size))
        prompt, own = torch.arange(places.shape[1], device=device), torch.arange(max_new_tokens, device=device)
        self._is_prompt = prompt < self._lengths[:, None]
        self._own_index = own
        self._key_positions = torch.cat((prompt.expand(rows, -1), own + self._lengths[:, None]), dim=1)
        self._biases: dict[int | None, Tensor] = {}
        self.token = torch.zeros(1, dtype=torch.long, device=device)
        """How many tokens of the answers have been read."""

    @property
    def positions(self) -> Int[Tensor, " R"]:
        return self._lengths + self.token

    def begin_step(self) -> None:
        self._biases.clear()

    def attend(self, heads: Heads) -> Tensor:
        """Stores the new keys and values [Hk, R, D] and attends with the queries [Hq, R, D]."""
        keys, values = self._own[heads.layer]
        keys.index_copy_(2, self.token, heads.key.transpose(0, 1)[:, :, None])
        values.index_copy_(2, self.token, heads.value.transpose(0, 1)[:, :, None])
        prompt_keys, prompt_values = self._prompts[heads.layer]
        key_values = KeyValues(prompt_keys=prompt_keys, prompt_values=prompt_values, own_keys=keys, own_values=values)
        return attend_to(key_values, heads.query * heads.scale, self._grouping, self._bias(heads))

    def _bias(self, heads: Heads) -> Float[Tensor, "R 1 1 S+M"]:
        """0 where a row sees a key, else minus infinity; made once a step for all layers."""
        if heads.window not in self._biases:
            is_own = (self._own_index <= self.token).expand(len(self._lengths), -1)
            sees = torch.cat((self._is_prompt, is_own), dim=1)
            if heads.window is not None:
                sees = sees & (self.positions[:, None] - self._key_positions < heads.window)
            self._biases[heads.window] = mask_bias(sees, heads.query.dtype)[:, None, None]
        return self._biases[heads.window]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """What a batch has generated so far. Changed in place, because a recorded graph refers to addresses."""

    current: Int[Tensor, " R"]
    """The tokens to be read next."""
    token_ids: Int[Tensor, "R M"]
    logprobs: Float[Tensor, "R M"]
    uniforms: Float[Tensor, "R M"]
    rows: Int[Tensor, " R"]
    thinking: ThinkingRows | None
    """None: no token is forced."""

    @classmethod
    def empty(
        cls, keys: Sequence[int], max_new_tokens: int, device: torch.device, thinking: ThinkingRows | None
    ) -> _Output:
        numbers = uniforms(np.array(keys, dtype=np.uint64)[:, None], np.arange(max_new_tokens, dtype=np.uint64))
        shape = (len(keys), max_new_tokens)
        return cls(
            current=torch.zeros(len(keys), dtype=torch.long, device=device),
            token_ids=torch.zeros(shape, dtype=torch.long, device=device),
            logprobs=torch.zeros(shape, device=device),
            uniforms=torch.from_numpy(numbers).to(device),
            rows=torch.arange(len(keys), device=device),
            thinking=thinking,
        )

    def draw(self, logits: Float[Tensor, "R V"], token: Int[Tensor, " 1"], temperature: float) -> None:
        """Draws token number `token` of every row."""
        draws = Draws(rows=self.rows, uniforms=self.uniforms.index_select(1, token).squeeze(1))
        chosen, logprobs = choose_tokens(logits, draws, temperature)
        if self.thinking is not None:
            chosen, logprobs = self.thinking.write(chosen, logprobs)
        self.current.copy_(chosen)
        self.token_ids.index_copy_(1, token, chosen[:, None])
        self.logprobs.index_copy_(1, token, logprobs[:, None].to(self.logprobs.dtype))


class StaticDecoding:
    """One call of the engine."""

    def __init__(
        self,
        runner: ModelRunner,
        sampling: Sampling,
        capacity: Capacity,
        rules: AnswerRules,
        device: torch.device,
    ) -> None:
        self._runner = runner
        self._sampling = sampling
        self._prompts_at_a_time = max(capacity.rows // sampling.group_size, 1)
        self._rules = rules
        self._device = device

    def run(self, prompts: Sequence[Prompt], samples: Sequence[range]) -> Iterator[FinishedRollout]:
        """The samples of every prompt, by their numbers, batch by batch, the longest prompts first.

        Each prompt has `sampling.group_size` rows; those beyond its samples are not given out.
        """
        ordered = sorted(zip(prompts, samples, strict=True), key=lambda each: -len(each[0].token_ids))
        for start in range(0, len(ordered), self._prompts_at_a_time):
            some, numbers = zip(*ordered[start : start + self._prompts_at_a_time], strict=True)
            yield from self._run_batch(some, numbers)

    def _run_batch(self, prompts: Sequence[Prompt], samples: Sequence[range]) -> Iterator[FinishedRollout]:
        sampling, size = self._sampling, self._sampling.group_size
        rows = [range(numbers.start, numbers.start + size) for numbers in samples]
        tree = grow_tree([Branch(prompt=prompt.token_ids) for prompt in prompts], self._device)
        prefill = Prefill(tree)
        hidden = prefill.read(self._runner.trunk)
        cache = StaticCache(prefill, tree, size, sampling.max_new_tokens)
        keys = [key for prompt, row in zip(prompts, rows, strict=True) for key in rollout_keys(prompt, sampling, row)]
        thinking = self._thinking(prompts)
        output = _Output.empty(keys, sampling.max_new_tokens, self._device, thinking)
        logits = self._runner.logits(hidden).repeat_interleave(size, dim=0)

        step = self._record(lambda: self._step(cache, output), cache)
        if thinking is not None:
            thinking.reset()  # recording takes steps
        output.draw(logits, cache.token, sampling.temperature)
        ends: list[int | None] = [None] * len(keys)
        done = 1
        while True:
            self._find_ends(output, ends, done)
            if done == sampling.max_new_tokens or None not in ends:
                break
            more = min(CHECK_INTERVAL, sampling.max_new_tokens - done)
            for _ in range(more):
                step()
            done += more
        yield from self._finished(prompts, samples, output, ends)

    def _thinking(self, prompts: Sequence[Prompt]) -> ThinkingRows | None:
        limit = self._rules.thinking
        if limit is None:
            return None
        opened = [prompt.opened for prompt in prompts for _ in range(self._sampling.group_size)]
        return ThinkingRows.begin(limit, opened, self._device)

    def _step(self, cache: StaticCache, output: _Output) -> None:
        """Reads the tokens drawn last, and draws the next ones."""
        cache.begin_step()
        hidden = self._runner.trunk.hidden_states(output.current, cache.positions, cache)
        logits = self._runner.logits(hidden)
        cache.token += 1
        output.draw(logits, cache.token, self._sampling.temperature)

    def _record(self, step: Callable[[], None], cache: StaticCache) -> Callable[[], None]:
        """`step` as a CUDA graph where there is an accelerator. Recording leaves the cache's token count at 0."""
        if self._device.type != "cuda" or self._sampling.max_new_tokens <= WARM_UPS + 1:
            return step
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        cache.token.zero_()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay

    def _find_ends(self, output: _Output, ends: list[int | None], done: int) -> None:
        """Sets the length of each row that has ended since the last check, in `ends`."""
        table = output.token_ids[:, :done].tolist()
        checked = max(done - CHECK_INTERVAL, 0) if done > 1 else 0
        for row, tokens in enumerate(table):
            if ends[row] is None:
                lengths = range(checked + 1, done + 1)
                ends[row] = next((length for length in lengths if self._rules.has_ended(tokens[:length])), None)

    def _finished(
        self, prompts: Sequence[Prompt], samples: Sequence[range], output: _Output, ends: Sequence[int | None]
    ) -> Iterator[FinishedRollout]:
        size = self._sampling.group_size
        tokens, logprobs = output.token_ids.tolist(), output.logprobs.tolist()
        for row, end in enumerate(ends):
            numbers = samples[row // size]
            if row % size >= len(numbers):
                continue
            yield FinishedRollout(
                prompt=prompts[row // size],
                sample=numbers[row % size],
                token_ids=tuple(tokens[row][:end]),
                logprobs=tuple(logprobs[row][:end]),
                finish_reason=FinishReason.LENGTH if end is None else FinishReason.STOP,
            )
