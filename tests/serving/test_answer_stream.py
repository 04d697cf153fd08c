from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from verifine.models.thinking import ThoughtTags
from verifine.rollout.scheduler import TokenEvent
from verifine.serving.answer_stream import AnswerStream, Piece
from verifine.serving.token_texts import TokenTexts
from verifine.testing.models import tiny_tokenizer
from verifine.types import FinishReason

END = 256


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte, and one that ends a turn."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({character: index for index, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.add_special_tokens({"eos_token": "</s>"})
    return fast


BYTES = byte_tokenizer()


def events(token_ids: Sequence[int], last: FinishReason = FinishReason.LENGTH) -> list[TokenEvent]:
    return [
        TokenEvent(
            request_id="r",
            sample=0,
            token_id=token_id,
            logprob=-1.0,
            finish_reason=last if place == len(token_ids) - 1 else None,
        )
        for place, token_id in enumerate(token_ids)
    ]


def pieces(text: str, stops: Sequence[str] = (), *, ends_turn: bool = False) -> tuple[list[Piece], AnswerStream]:
    token_ids = [*BYTES(text).input_ids, *([END] if ends_turn else [])]
    stream = AnswerStream(BYTES, frozenset({END}), stops)
    reason = FinishReason.STOP if ends_turn or stops else FinishReason.LENGTH
    return [stream.add(event) for event in events(token_ids, reason)], stream


def test_characters_come_whole() -> None:
    given_out, _ = pieces("a🙂é")
    assert [piece.text for piece in given_out] == ["a", "", "", "", "🙂", "", "é"]


@given(st.text(max_size=30), st.booleans())
def test_the_pieces_are_the_text(text: str, ends_turn: bool) -> None:
    given_out, stream = pieces(text, ends_turn=ends_turn)
    assert "".join(piece.text for piece in given_out) == BYTES.decode(BYTES(text).input_ids)
    assert stream.token_count == len(given_out)
    texts = TokenTexts(BYTES)
    assert b"".join(texts.of(token.token_id) for piece in given_out for token in piece.tokens) == text.encode()


@given(st.lists(st.integers(0, 255), min_size=1, max_size=12))
def test_bytes_that_are_no_text_are_written_as_the_tokenizer_writes_them(token_ids: list[int]) -> None:
    stream = AnswerStream(BYTES, frozenset({END}))
    assert "".join(stream.add(event).text for event in events(token_ids)) == BYTES.decode(token_ids)


def test_half_a_character_at_the_end_is_not_lost() -> None:
    token_ids = BYTES("a🙂").input_ids[:3]
    stream = AnswerStream(BYTES, frozenset({END}))
    text = "".join(stream.add(event).text for event in events(token_ids))
    assert text == BYTES.decode(token_ids)
    assert text.startswith("a")


@pytest.mark.parametrize(
    ("text", "stops", "wanted"),
    [
        ("Hello END", ["END"], "Hello "),
        ("EENEND", ["END"], "EEN"),
        ("1, 2, 3;", ["3;", ";"], "1, 2, "),
        ("no\n\n", ["\n\n"], "no"),
        ("END", ["END"], ""),
    ],
)
def test_no_part_of_a_stop_text_is_given_out(text: str, stops: list[str], wanted: str) -> None:
    given_out, stream = pieces(text, stops)
    assert "".join(piece.text for piece in given_out) == wanted
    assert given_out[-1].finish_reason is FinishReason.STOP
    assert stream.token_count == len(text)
    assert sum(len(piece.tokens) for piece in given_out) == len(wanted)


def test_what_only_looks_like_a_stop_text_is_given_out_as_soon_as_it_does_not() -> None:
    stream = AnswerStream(BYTES, frozenset({END}), ["END"])
    given_out = [stream.add(event).text for event in events(BYTES("xENx").input_ids)]
    assert given_out == ["x", "", "", "ENx"]


def test_what_looks_like_a_stop_text_at_the_end_is_given_out() -> None:
    stream = AnswerStream(BYTES, frozenset({END}), ["END"])
    for event in events([*BYTES("xEN").input_ids, END], FinishReason.STOP):
        piece = stream.add(event)
    assert piece.text == "EN"


@pytest.mark.parametrize(
    ("token_ids", "opened", "wanted"),
    [
        ([7, 1, 2, 8, 3], "", 2),
        ([1, 7, 1, 8, 2, 7, 3], "", 2),
        ([7, 1, 2, 3], "", 3),
        ([1, 2, 8, 3], "<think>\n", 2),
        ([1, 2], "<think></think>", 0),
        ([7, 1, END], "", 2),
        ([1, 2, 3], "", 0),
    ],
)
def test_the_tokens_inside_thoughts_are_counted_without_their_tags(
    token_ids: list[int], opened: str, wanted: int
) -> None:
    for tags, count in ((ThoughtTags(opening=7, closing=8), wanted), (None, 0)):
        stream = AnswerStream(BYTES, frozenset({END}), opened=opened, tags=tags)
        for event in events(token_ids):
            stream.add(event)
        assert (stream.reasoning_tokens, stream.token_count) == (count, len(token_ids))


def test_a_token_has_its_bytes_in_every_kind_of_tokenizer() -> None:
    texts = TokenTexts(BYTES)
    assert [texts.of(token_id) for token_id in BYTES("é").input_ids] == [b"\xc3", b"\xa9"]
    assert texts.of(END) == b"</s>"
    plain = tiny_tokenizer()
    assert TokenTexts(plain).of(plain("a").input_ids[0]) == b"a"
    words = Tokenizer(models.WordLevel({"\u2581Hi": 0, "<0x0A>": 1}, unk_token="\u2581Hi"))
    words.decoder = decoders.Metaspace()
    sentence = TokenTexts(PreTrainedTokenizerFast(tokenizer_object=words))
    assert (sentence.of(0), sentence.of(1), sentence.of(7)) == (b" Hi", b"\n", b"")


def test_words_with_blanks_before_them_keep_these() -> None:
    tokenizer = Tokenizer(models.WordLevel({"\u2581Hi": 0, "\u2581you": 1, "!": 2}, unk_token="!"))
    tokenizer.decoder = decoders.Metaspace()
    words = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    stream = AnswerStream(words, frozenset())
    assert [stream.add(event).text for event in events([0, 1, 2, 1])] == ["Hi", " you", "!", " you"]
