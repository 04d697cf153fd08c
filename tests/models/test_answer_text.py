from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from verifine.models.answer_text import AnswerText, find_stop_end
from verifine.testing.models import tiny_tokenizer

WORDS = ["><", "></", ">.", "er", "ab", "bc", "abc", "\n\n", "  ", "sw"]
TINY = tiny_tokenizer(WORDS)
EOS = 2


def byte_tokenizer(normalizer: normalizers.Normalizer | None = None) -> PreTrainedTokenizerFast:
    """A token a byte, as byte-level BPE has it before any merge, with a special token, and one not marked so."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({letter: index for index, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")
    fast.add_tokens([AddedToken("<|im_end|>", special=True, normalized=False)], special_tokens=True)
    fast.add_tokens([AddedToken("<end>", special=False, normalized=False)])
    return fast


BYTES = byte_tokenizer()


def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """Blanks are part of the words that follow them, and the first one of a text is not shown."""
    pieces = ["<unk>", "▁", "▁the", "▁end", "e", "n", "d", "t", "h", "▁e"]
    merges = [("▁", "e")]
    tokenizer = Tokenizer(BPE({piece: index for index, piece in enumerate(pieces)}, merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def tokens(*texts: str) -> list[int]:
    """Of the tiny tokenizer: a word is one token, any other text a token a character."""
    return [
        token_id
        for text in texts
        for token_id in ([TINY.convert_tokens_to_ids(text)] if text in WORDS else TINY(text).input_ids)
    ]


def ids(text: str, tokenizer: PreTrainedTokenizerFast = BYTES) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def write(
    written: Sequence[int], stop: Sequence[str], tokenizer: PreTrainedTokenizerFast = TINY, ends: Sequence[int] = (EOS,)
) -> tuple[str, int]:
    """The text of an answer and the number of its tokens, from a model that would write all of `written`."""
    answer_text = AnswerText(tokenizer, ends, stop)
    lengths = (length for length in range(1, len(written) + 1) if answer_text.has_ended(written[:length]))
    length = next(lengths, len(written))
    return answer_text.of(written[:length]), length


@pytest.mark.parametrize("rest", ["><", "></", ">."])
def test_a_stop_text_that_ends_within_a_token_ends_the_text(rest: str) -> None:
    written = tokens("<answer>7</answer", rest, "abc")
    assert write(written, ["</answer>"]) == ("<answer>7</answer>", 18)


def test_the_first_of_several_stop_texts_to_be_complete_wins() -> None:
    written = tokens("x", "abc", "y")
    assert write(written, ["abc", "ab", "bc"]) == ("xab", 2)
    assert write(written, ["c", "abc"]) == ("xabc", 2)
    assert write(written, ["bc", "y"]) == ("xabc", 2)
    assert write(written, ["nothing", "y"]) == ("xabcy", 3)


@pytest.mark.parametrize(("stop", "text"), [("</answer>", "</answer>"), ("r>", "</answer>"), ("er", "</answer")])
def test_a_stop_text_across_tokens_is_found(stop: str, text: str) -> None:
    assert write(tokens("</answ", "er", "><", "x"), [stop])[0] == text


def test_a_stop_text_in_the_first_token_ends_the_answer() -> None:
    assert write(tokens("><", "x"), [">"]) == (">", 1)
    assert write(tokens("\n\n", "x"), ["\n"]) == ("\n", 1)
    assert write(tokens("  ", "x"), ["  "]) == ("  ", 1)


def test_a_stop_text_that_only_begins_does_not_end_the_answer() -> None:
    assert write(tokens("ab", "x"), ["abc"]) == ("abx", 2)
    assert write(tokens("x", "><"), ["><>"]) == ("x><", 2)


def test_the_end_of_turn_ends_an_answer_without_a_stop_text() -> None:
    assert write([*tokens("abc"), EOS], ["zz"]) == ("abc", 2)
    assert write([*tokens("abc"), EOS], []) == ("abc", 2)


def test_a_stop_text_before_the_end_of_turn_ends_the_answer_with_its_own_token() -> None:
    assert write([*tokens("x", "><"), EOS], [">"]) == ("x>", 2)


def test_the_end_of_turn_is_not_shown_even_where_it_is_not_a_special_token() -> None:
    end = BYTES.convert_tokens_to_ids("<end>")
    assert write([*ids("7"), end], ["zz"], BYTES, [end]) == ("7", 2)
    assert write([*ids("7"), end, *ids("8")], ["zz"], BYTES, [EOS]) == ("7<end>8", 3)


def test_a_stop_text_may_be_a_special_token() -> None:
    """Which the text does not show."""
    end = BYTES.convert_tokens_to_ids("<|im_end|>")
    assert write([*ids("7"), end, *ids("8")], ["<|im_end|>"], BYTES) == ("7", 2)
    assert write([*ids("7"), end, *ids("\n8")], ["<|im_end|>\n"], BYTES) == ("7\n", 3)
    assert write([*ids("7"), end, *ids("8")], ["<", "end"], BYTES) == ("78", 3)


def test_a_special_token_within_a_stop_text_is_not_seen() -> None:
    pad = BYTES.convert_tokens_to_ids("</s>")
    assert write([*ids("<a>7</"), *[pad] * 40, *ids("a>8")], ["</a>"], BYTES) == ("<a>7</a>", 48)


@pytest.mark.parametrize("stop", ["é", "🙂", "。", "終わり", "x終"])
def test_a_stop_text_of_several_bytes_ends_with_its_last_byte(stop: str) -> None:
    written = ids(f"x終わり。🙂é{stop}more")
    text, length = write(written, [stop], BYTES)
    assert text == f"x終わり。🙂é{stop}".partition(stop)[0] + stop
    assert length == len(text.encode())


def test_the_rest_behind_a_stop_text_may_be_a_part_of_a_character() -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    first = "".join(BYTES.convert_ids_to_tokens(ids("é")[:1]))
    vocabulary = {letter: index for index, letter in enumerate([*letters, f">{first}"])}
    tokenizer = Tokenizer(BPE(vocabulary, []))
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    assert write([*ids("</a"), vocabulary[f">{first}"]], ["</a>"], fast) == ("</a>", 4)


@pytest.mark.parametrize(
    ("normalizer", "stop", "written"),
    [
        (normalizers.NFC(), "cafe\u0301", "caf\u00e9"),
        (normalizers.NFD(), "caf\u00e9", "cafe\u0301"),
        (normalizers.Lowercase(), "</Answer>", "</answer>"),
        (normalizers.NFKC(), "\uff45\uff4e\uff44", "end"),
        (normalizers.Sequence([normalizers.Strip(), normalizers.Lowercase()]), " END ", " end "),
    ],
)
def test_a_stop_text_is_found_as_the_tokenizer_writes_it(
    normalizer: normalizers.Normalizer, stop: str, written: str
) -> None:
    tokenizer = byte_tokenizer(normalizer)
    assert write(ids(f"x{written}y"), [stop], tokenizer) == (f"x{written}", len(f"x{written}".encode()))


def test_a_normaliser_that_removes_a_stop_text_does_not_end_every_answer() -> None:
    tokenizer = byte_tokenizer(normalizers.Replace("\n", ""))
    assert write(ids("xyz"), ["\n"], tokenizer) == ("xyz", 3)


def test_a_stop_text_that_begins_with_a_blank_is_found_in_words_that_hold_their_blanks() -> None:
    tokenizer = sentencepiece_tokenizer()
    written = [tokenizer.convert_tokens_to_ids(piece) for piece in ["▁the"] * 30 + ["▁end", "▁the"]]
    assert write(written, [" end"], tokenizer, ()) == ("the " * 30 + "end", 31)
    assert write(written, ["the e"], tokenizer, ()) == ("the " * 30 + "e", 31)


def test_the_end_of_text_is_the_least_end_of_all_stop_texts() -> None:
    assert find_stop_end("xabcabc", ["bca", "abc"]) == 4
    assert find_stop_end("xabc", ["d"]) is None
    assert find_stop_end("", ["d"]) is None
    assert find_stop_end("abc", []) is None


@given(
    st.lists(st.sampled_from([*range(3, 99), *range(99, 99 + len(WORDS)), 0]), max_size=40),
    st.lists(st.text(alphabet="ab<>/.erc", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_an_answer_ends_where_decoding_all_of_it_shows_a_stop_text(written: list[int], stop: list[str]) -> None:
    for length in range(1, len(written) + 1):
        whole = TINY.decode(written[:length], skip_special_tokens=True)
        if any(each in whole for each in stop):
            end = next(end for end in range(len(whole) + 1) if any(whole[:end].endswith(each) for each in stop))
            assert write(written, stop) == (whole[:end], length)
            return
    assert write(written, stop) == (TINY.decode(written, skip_special_tokens=True), len(written))


# "#" is the token that ends a turn here.
@given(
    st.text(st.characters(exclude_characters="#", codec="utf-8"), max_size=20),
    st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_bytes_end_an_answer_where_decoding_all_of_them_shows_a_stop_text(text: str, stop: list[str]) -> None:
    written = ids(text)
    ends = [end for end in range(1, len(text) + 1) if any(text[:end].endswith(each) for each in stop)]
    expected = text[: ends[0]] if ends else text
    if "\ufffd" not in text and not any("\ufffd" in each for each in stop):
        assert write(written, stop, BYTES) == (expected, len(expected.encode()))
