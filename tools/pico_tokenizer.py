"""The tokenizer of pico: a token for each number up to 100 and each word of the built-in tasks, and bytes."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PADDING, TURN_END = "<|pad|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

LARGEST_NUMBER = 100

_WORDS = """
Answer with a number the numbers in rising order an expression inside Largest largest of What is
Sort Use to make How many times does letter occur Hello Hi Who are you I am pico toy model that learns
"""
_SYMBOLS = ("<answer>", "</answer>", ", ", " + ", " - ")
_PIECES = r"</?[a-z]+>| ?[A-Za-z]+|[0-9]{1,3}|, | [+-] |[\s\S]"
"""What a token may be. No merges: a piece is one token if the vocabulary has it, else its bytes."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The same tokenizer each time; its end token ends a turn."""
    bytes_alone = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = [str(number) for number in range(10, LARGEST_NUMBER + 1)]
    words = [*_WORDS.split(), *(f" {word}" for word in _WORDS.split()), *_SYMBOLS]
    pieces = [*bytes_alone, *numbers, *map(_as_bytes, words)]
    vocabulary = {text: index for index, text in enumerate(dict.fromkeys([PADDING, TURN_END, *ROLES, *pieces]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PADDING,
        additional_special_tokens=list(ROLES),
        model_max_length=512,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _as_bytes(text: str) -> str:
    """The text as the vocabulary of a byte-level tokenizer writes it."""
    ((piece, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    return piece
