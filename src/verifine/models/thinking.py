"""Thoughts as tokens: where an answer thinks, and where a budget ends a thought.

A model thinks between two tokens of its tokenizer, `<think>` and `</think>`. The chat template may have opened the
thought already, or both opened and closed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerFast

from verifine.data.thoughts import CLOSING, OPENING, find_answer, is_open
from verifine.errors import ConfigError
from verifine.models.load import LanguageModel
from verifine.types import Rollout, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtTags:
    """The ids of the tokens around a thought."""

    opening: int
    closing: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> ThoughtTags | None:
        """None: the tokenizer has no such tokens, so the model would have to spell the tags."""
        own = tokenizer.added_tokens_encoder
        opening, closing = own.get(OPENING), own.get(CLOSING)
        return None if opening is None or closing is None else cls(opening=opening, closing=closing)

    def count(self, opened: str, token_ids: Sequence[int]) -> int:
        """The tokens of an answer that stand inside thoughts, without the tags. `opened`: as in `Prompt`."""
        thinks, count = is_open(opened), 0
        for token_id in token_ids:
            if token_id in (self.opening, self.closing):
                thinks = token_id == self.opening
            else:
                count += thinks
        return count


def thinks_apart(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether the model was made to think before it answers: its chat template names `<think>` or `</think>`."""
    template = tokenizer.chat_template
    sources = template.values() if isinstance(template, dict) else [template or ""]
    return any(tag in source for source in sources for tag in (OPENING, CLOSING))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtReader:
    """Tells thoughts from answers in what one model writes."""

    tags: ThoughtTags | None
    """None: the model has no tokens around its thoughts."""
    is_apart: bool
    """Whether graders see its answers without its thoughts."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> ThoughtReader:
        return cls(tags=ThoughtTags.of(tokenizer), is_apart=thinks_apart(tokenizer))

    def read(self, rollout: Rollout) -> Rollout:
        """The rollout, with what is known of its thought."""
        opened = rollout.prompt.opened
        return replace(
            rollout,
            answer_start=find_answer(opened, rollout.text) if self.is_apart else 0,
            reasoning_tokens=None if self.tags is None else self.tags.count(opened, rollout.token_ids),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingProgress:
    """How far an answer has come in the eyes of a `ThinkingLimit`."""

    thinks: bool
    spent: int = 0
    """The tokens of thought that were sampled so far."""
    forced: int = 0
    """The tokens of the end that are written; 0: it is not being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingLimit:
    """A budget in the tokens of one model. Thoughts share it, if an answer has several."""

    tags: ThoughtTags
    tokens: int
    """The most tokens of thought that are sampled, tags not counted."""
    end: tuple[int, ...]
    """What is forced then: at least one token, the closing tag among them."""
    vocabulary: int
    """The rows of the model's head."""

    @classmethod
    def of(cls, model: LanguageModel, sampling: Sampling) -> ThinkingLimit | None:
        """None: there is no budget.

        Raises:
            ConfigError: the tokenizer does not have the two tags as tokens, or nothing is left for an answer.
        """
        budget = sampling.thinking
        if budget is None:
            return None
        tags = ThoughtTags.of(model.tokenizer)
        if tags is None:
            raise ConfigError(
                f"sampling.thinking_token_budget: {model.name} cannot be told when to stop thinking, because its "
                f"tokenizer has no tokens {OPENING} and {CLOSING}. Take a model that has them, or remove the budget."
            )
        end: list[int] = model.tokenizer(budget.end, add_special_tokens=False).input_ids
        if budget.tokens + len(end) >= sampling.max_new_tokens:
            raise ConfigError(
                f"sampling.thinking_token_budget: {budget.tokens} tokens of thought and {len(end)} that end it leave "
                f"nothing of sampling.max_new_tokens ({sampling.max_new_tokens}) for an answer. Lower the budget, or "
                "raise max_new_tokens."
            )
        return cls(tags=tags, tokens=budget.tokens, end=tuple(end), vocabulary=len(model.head.weight))

    def begin(self, opened: str) -> ThinkingProgress:
        """`opened`: as in `Prompt`."""
        return ThinkingProgress(thinks=is_open(opened))

    def due(self, progress: ThinkingProgress) -> int | None:
        """The token that has to come next. None: the model chooses it."""
        if progress.forced or (progress.thinks and progress.spent >= self.tokens):
            return self.end[progress.forced]
        return None

    def after(self, progress: ThinkingProgress, token_id: int) -> ThinkingProgress:
        """The progress once this token is written, which is the one that was due if any was."""
        if self.due(progress) is not None:
            written = progress.forced + 1
            is_complete = written == len(self.end)
            return ThinkingProgress(
                thinks=progress.thinks and not is_complete,
                spent=progress.spent,
                forced=0 if is_complete else written,
            )
        if token_id in (self.tags.opening, self.tags.closing):
            return ThinkingProgress(thinks=token_id == self.tags.opening, spent=progress.spent)
        return ThinkingProgress(thinks=progress.thinks, spent=progress.spent + progress.thinks)

    def forced_places(self, opened: str, token_ids: Sequence[int]) -> Iterator[int]:
        """The places of the tokens of an answer that were forced."""
        progress = self.begin(opened)
        for place, token_id in enumerate(token_ids):
            if self.due(progress) is not None:
                yield place
            progress = self.after(progress, token_id)
