from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from verifine.models.answer_text import AnswerText
from verifine.models.text_offsets import text_ends as ends_of
from verifine.testing.models import tiny_tokenizer
from verifine.types import FinishReason, Prompt, Rollout

TINY = tiny_tokenizer()


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token a byte, as byte-level BPE has it before any merge, and one special token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({letter: index for index, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


BYTES = byte_tokenizer()


def text_ends(
    tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int], stop: Sequence[str] = ()
) -> tuple[int, ...]:
    return ends_of(
        tokenizer,
        Rollout(
            prompt=Prompt(id="p", token_ids=(), item={}),
            token_ids=tuple(token_ids),
            behaviour_logprobs=(),
            text=AnswerText(tokenizer, (), stop).of(token_ids),
            finish_reason=FinishReason.STOP,
        ),
    )


def ids(text: str) -> list[int]:
    return list(BYTES(text, add_special_tokens=False).input_ids)


def test_a_token_a_character_ends_after_each_character() -> None:
    assert text_ends(TINY, TINY("abc").input_ids) == (1, 2, 3)
    assert text_ends(TINY, []) == ()


def test_special_tokens_add_nothing() -> None:
    assert text_ends(TINY, [*TINY("ab").input_ids, TINY.eos_token_id]) == (1, 2, 2)


def test_a_character_of_several_tokens_is_complete_with_its_last() -> None:
    assert text_ends(BYTES, ids("aéb")) == (1, 1, 2, 3)
    assert text_ends(BYTES, ids("🙂")) == (0, 0, 0, 1)


def test_an_answer_that_ends_within_a_character_ends_with_its_text() -> None:
    cut = ids("a🙂")[:-1]
    assert text_ends(BYTES, cut)[-1] == len(BYTES.decode(cut))


def test_what_a_token_has_behind_a_stop_text_adds_nothing() -> None:
    tokenizer = tiny_tokenizer(["><", "n>."])
    words = [*tokenizer("<b").input_ids, tokenizer.convert_tokens_to_ids("><")]
    assert text_ends(tokenizer, words) == (1, 2, 4)
    assert text_ends(tokenizer, words, ["b>"]) == (1, 2, 3)
    assert text_ends(tokenizer, [tokenizer.convert_tokens_to_ids("n>.")], ["n"]) == (1,)
    assert text_ends(BYTES, ids("a🙂é")[:-1], ["a🙂"]) == (1, 1, 1, 1, 2, 2)


@given(st.text(max_size=12))
def test_ends_are_those_of_decoding_every_beginning(text: str) -> None:
    ends, token_ids = text_ends(BYTES, ids(text)), ids(text)
    for count, end in enumerate(ends, start=1):
        beginning = BYTES.decode(token_ids[:count])
        if not beginning.endswith("\ufffd"):
            assert end == len(beginning)
    assert list(ends) == sorted(ends)
