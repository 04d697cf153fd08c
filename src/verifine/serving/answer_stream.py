"""The text of an answer while it is written: what is given out is never taken back."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from verifine.models.answer_text import decode_answer, find_stop_end
from verifine.models.thinking import ThoughtTags
from verifine.rollout.scheduler import ModelLogprobs, TokenEvent
from verifine.types import FinishReason

_HALF = "\ufffd"
"""How tokenizers write bytes that are no character, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenToken:
    """A token whose text is given out."""

    token_id: int
    model: ModelLogprobs | None
    start: int
    """Where its text begins in the answer, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What a token adds to the text that is given out; it may be nothing."""

    text: str
    tokens: tuple[WrittenToken, ...]
    """Those whose text ends in this piece."""
    finish_reason: FinishReason | None


class AnswerStream:
    """Joined, the pieces are the answer without special tokens, up to a stop text, or to its end.

    Held back are the beginnings of characters, and what may turn out to be the beginning of a stop text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        stop_token_ids: frozenset[int],
        stops: Sequence[str] = (),
        *,
        opened: str = "",
        tags: ThoughtTags | None = None,
        keeps_stop: bool = False,
    ) -> None:
        """How the answer is read.

        Args:
            tokenizer: That of the model.
            stop_token_ids: Tokens that end a turn.
            stops: Texts that end the answer.
            opened: See `Prompt.opened`.
            tags: Of thoughts; None: they are not counted.
            keeps_stop: The answer ends with the stop text, not before it.
        """
        self._stop_token_ids = stop_token_ids
        self._stops = tuple(stops)
        self._keeps_stop = keeps_stop
        self._decoder = _Decoder(tokenizer)
        self._text = ""
        """All of it, what is held back included."""
        self._given = 0
        """How much of it is given out."""
        self._held: deque[tuple[WrittenToken, int]] = deque()
        """Tokens that are not given out, and where their text ends."""
        self._opened = opened
        self._tags = tags
        self._token_ids: list[int] = []

    @property
    def token_count(self) -> int:
        """Tokens so far, the one that ends a turn included."""
        return len(self._token_ids)

    @property
    def reasoning_tokens(self) -> int:
        """Those inside thoughts, counted as in training."""
        return 0 if self._tags is None else self._tags.count(self._opened, self._token_ids)

    def add(self, event: TokenEvent) -> Piece:
        """The piece of the answer's next token."""
        self._token_ids.append(event.token_id)
        is_end_of_turn = event.token_id in self._stop_token_ids
        if not is_end_of_turn:
            start = len(self._text)
            self._text += self._decoder.add(event.token_id)
            written = WrittenToken(token_id=event.token_id, model=event.model, start=start)
            self._held.append((written, len(self._text)))
        if event.finish_reason is None:
            return self._give(len(self._text) - self._held_back(), None)
        self._text += self._decoder.finish()
        is_stopped = event.finish_reason is FinishReason.STOP and not is_end_of_turn
        return self._give(self._stop_place() if is_stopped else len(self._text), event.finish_reason)

    def _give(self, end: int, reason: FinishReason | None) -> Piece:
        """The text up to `end`."""
        end = max(end, self._given)
        text = self._text[self._given : end]
        self._given = end
        tokens: list[WrittenToken] = []
        while self._held and self._is_given(*self._held[0], is_last=reason is not None):
            tokens.append(self._held.popleft()[0])
        return Piece(text=text, tokens=tuple(tokens), finish_reason=reason)

    def _is_given(self, token: WrittenToken, end: int, *, is_last: bool) -> bool:
        """In the last piece, a token counts if any of its text is given out."""
        return token.start < self._given or self._given == len(self._text) if is_last else end <= self._given

    def _held_back(self) -> int:
        """The length of the longest end of the text that a stop text begins with."""
        lengths = range(min(max(map(len, self._stops), default=0) - 1, len(self._text) - self._given), 0, -1)
        return next((n for n in lengths if any(stop.startswith(self._text[-n:]) for stop in self._stops)), 0)

    def _stop_place(self) -> int:
        """Where an answer with a stop text ends."""
        if self._keeps_stop:
            end = find_stop_end(self._text, self._stops)
            return len(self._text) if end is None else end
        starts = (self._text.find(stop, self._given) for stop in self._stops)
        return min((start for start in starts if start >= 0), default=len(self._text))


class _Decoder:
    """Tells the text of tokens as soon as later ones cannot change it.

    The text of a few tokens is compared with that of the same and the new ones, since a token is written differently at
    the start of a text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._token_ids: list[int] = []
        self._start = 0
        """The first token that is looked at."""
        self._told = 0
        """How many tokens' text is told."""

    def add(self, token_id: int) -> str:
        self._token_ids.append(token_id)
        text = self._untold()
        if not text or text.endswith(_HALF):
            return ""
        self._start, self._told = self._told, len(self._token_ids)
        return text

    def finish(self) -> str:
        """What is left, which ends within a character."""
        return self._untold()

    def _untold(self) -> str:
        told = decode_answer(self._tokenizer, self._token_ids[self._start : self._told])
        return decode_answer(self._tokenizer, self._token_ids[self._start :])[len(told) :]
