"""Where an answer ends, and its text: the one that is graded, shown and recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from transformers import PreTrainedTokenizerFast

UNSETTLED = 6
"""Characters at the ends of a few tokens' text that more tokens may change: the rest of one, and a leading blank."""


class AnswerText:
    """Reads the tokens of answers. An answer ends with the model's turn, or with the token that completes a stop text.

    A stop text may end within a token. The text ends with the stop text then, while the tokens are those that were
    sampled: they are what the log-probabilities belong to.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, stop_token_ids: Collection[int], stop: Sequence[str]
    ) -> None:
        self._tokenizer = tokenizer
        self._stop_token_ids = stop_token_ids
        self._stop = tuple(spelling for text in stop for spelling in _spellings(tokenizer, text))
        special = [added.content for added in tokenizer.added_tokens_decoder.values() if added.special] if stop else []
        self._special_stop = tuple(text for text in self._stop if any(token in text for token in special))
        """Those that name a special token, such as <|im_end|>, which the text of an answer does not show."""
        self._longest = max(map(len, self._stop), default=0)

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop texts, in every spelling that the model can write."""
        return self._stop

    def has_ended(self, token_ids: Sequence[int]) -> bool:
        """Whether the last token ends the answer, given that no earlier one does."""
        if token_ids[-1] in self._stop_token_ids:
            return True
        if not self._stop:
            return False
        tail = self._tail(token_ids)
        if find_stop_end(decode_answer(self._tokenizer, tail), self._stop) is not None:
            return True
        return bool(self._special_stop) and find_stop_end(self._tokenizer.decode(tail), self._special_stop) is not None

    def of(self, token_ids: Sequence[int]) -> str:
        """The text of an answer, without special tokens, up to the end of the first stop text to be complete."""
        # Not every tokenizer knows that the token that ends a turn is a special one.
        is_told = bool(token_ids) and token_ids[-1] in self._stop_token_ids
        text = decode_answer(self._tokenizer, token_ids[:-1] if is_told else token_ids)
        return text[: find_stop_end(text, self._stop)]

    def _tail(self, token_ids: Sequence[int]) -> Sequence[int]:
        """The last tokens: so many that a stop text completed by the last one begins among them."""
        count = self._longest + UNSETTLED
        while count < len(token_ids):
            tail = token_ids[-count:]
            # Most tokens are a character or more, but not those within a character, and special ones are no text.
            if len(decode_answer(self._tokenizer, tail[:-1])) >= self._longest + UNSETTLED:
                return tail
            count *= 2
        return token_ids


def find_stop_end(text: str, stop: Sequence[str]) -> int | None:
    """Where the first stop text to be complete ends; None: there is none."""
    return min((text.index(wanted) + len(wanted) for wanted in stop if wanted in text), default=None)


def decode_answer(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> str:
    """The text of tokens, without special ones."""
    text = tokenizer.decode(list(token_ids), skip_special_tokens=True)
    assert isinstance(text, str)
    return text


def _spellings(tokenizer: PreTrainedTokenizerFast, text: str) -> Iterator[str]:
    """`text` as it is, and as the tokenizer's normaliser writes it: a model can write only the latter.

    The normaliser sees it between two letters, since some change the ends of a text.
    """
    yield text
    normalizer = tokenizer.backend_tokenizer.normalizer
    if normalizer is not None:
        normalized = normalizer.normalize_str(f"a{text}a").partition("a")[2].rpartition("a")[0]
        if normalized and normalized != text:
            yield normalized
