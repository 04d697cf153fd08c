"""A model that can be asked, under its name."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from verifine.models.fingerprint import take_fingerprint
from verifine.models.load import LanguageModel
from verifine.models.thinking import ThoughtTags
from verifine.models.threads import in_own_thread
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.model_runner import OwnWeightsRunner
from verifine.rollout.native.native_scheduler import NativeScheduler
from verifine.rollout.native.places import place_tokens
from verifine.rollout.scheduler import Scheduler
from verifine.serving.call_reader import OPENING
from verifine.serving.engine_thread import Places
from verifine.serving.grammar import GrammarCompiler
from verifine.serving.limits import ServingLimits
from verifine.serving.token_texts import TokenTexts
from verifine.wire.api_error import unknown_model

READ_TOKENS = 1024
"""Of prompts at a time: products are as fast as with more, and many who ask at once get their first tokens in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model with what is needed to answer requests for it."""

    name: str
    model: LanguageModel
    created: int
    """Seconds since 1970."""
    capacity: Capacity
    fingerprint: str
    """Of its weights."""
    renderer: PreTrainedTokenizerFast
    """A tokenizer of its own for the thread that renders prompts."""
    token_texts: TokenTexts
    thought_tags: ThoughtTags | None
    """None: the model has no tokens around its thoughts."""
    grammars: GrammarCompiler
    make_scheduler: Callable[[], Scheduler]
    """Of its answers."""

    @classmethod
    @in_own_thread
    def of(cls, name: str, model: LanguageModel, limits: ServingLimits, created: int) -> ServedModel:
        token_texts = TokenTexts(model.tokenizer)
        digests = take_fingerprint(model.network.state_dict()).digests
        capacity = serving_capacity(model, limits)
        return cls(
            name=name,
            model=model,
            created=created,
            capacity=capacity,
            fingerprint=f"fp_{zlib.crc32(repr(sorted(digests.items())).encode()):08x}",
            renderer=copy.deepcopy(model.tokenizer),
            token_texts=token_texts,
            thought_tags=ThoughtTags.of(model.tokenizer),
            grammars=GrammarCompiler(model, token_texts, limits.schema_bytes),
            make_scheduler=lambda: NativeScheduler(
                OwnWeightsRunner(model), capacity, model.device, read_tokens=READ_TOKENS
            ),
        )

    @property
    def context_tokens(self) -> int:
        """The most tokens of a prompt and its answer together."""
        return self.capacity.prompt_tokens + 1

    @property
    def has_tagged_calls(self) -> bool:
        """See `call_reader`."""
        return OPENING in str(self.model.tokenizer.chat_template)

    @property
    def places(self) -> Places:
        return Places(make_scheduler=self.make_scheduler, count=self.capacity.rows)


def serving_capacity(model: LanguageModel, limits: ServingLimits) -> Capacity:
    """The memory of the limits, but at least that of one answer."""
    context_tokens = max(min(limits.context_tokens, model.context_length), 2)
    own_tokens = min(limits.answer_tokens, context_tokens - 1)
    return Capacity(
        rows=limits.concurrent_answers,
        tokens=max(limits.cache_bytes // model.token_bytes, place_tokens(context_tokens)),
        prompt_tokens=context_tokens - 1,
        own_tokens=own_tokens,
    )


def find_model(models: Mapping[str, ServedModel], name: str) -> ServedModel:
    """The model of that name.

    Raises:
        ApiError: there is none.
    """
    served = models.get(name)  # looked up once: another thread may remove it
    if served is None:
        raise unknown_model(name, ", ".join(models))
    return served
