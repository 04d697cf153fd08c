"""The bytes that each token stands for, alone."""

from __future__ import annotations

import json
import re

from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_BYTES_OF = {character: byte for byte, character in bytes_to_unicode().items()}
"""The characters with which byte-level tokenizers write bytes."""

_BLANK = "\u2581"
"""The character with which SentencePiece writes a blank."""


class TokenTexts:
    """A token may be a part of a character, so it has bytes rather than a text."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._added: dict[int, str] = {
            token_id: added.content for token_id, added in tokenizer.added_tokens_decoder.items()
        }
        decoder = tokenizer.backend_tokenizer.decoder
        self._is_byte_level = decoder is not None and '"ByteLevel"' in json.dumps(json.loads(decoder.__getstate__()))
        self._known: dict[int, bytes] = {}

    def of(self, token_id: int) -> bytes:
        if token_id not in self._known:
            self._known[token_id] = self._find(token_id)
        return self._known[token_id]

    def _find(self, token_id: int) -> bytes:
        if token_id in self._added:
            return self._added[token_id].encode()
        token = self._tokenizer.convert_ids_to_tokens(token_id)
        if not isinstance(token, str):  # an id without a token
            return b""
        if self._is_byte_level:
            return bytes(_BYTES_OF[character] for character in token if character in _BYTES_OF)
        if match := _BYTE.fullmatch(token):
            return bytes.fromhex(match[1])
        return token.replace(_BLANK, " ").encode()
