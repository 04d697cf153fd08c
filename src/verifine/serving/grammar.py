"""Answers of a given form: JSON, JSON of a schema, and calls of tools, through llguidance."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from verifine.models.load import LanguageModel
from verifine.rollout.scheduler import Constraint
from verifine.serving.call_reader import CLOSING, OPENING
from verifine.serving.token_texts import TokenTexts
from verifine.types import Json
from verifine.wire.api_error import invalid_request

logger = logging.getLogger(__name__)

WHITESPACE = r"( |\n {0,16})?"
"""Between the parts of JSON: one blank, or a new line with its indentation. More would let an answer never end."""

MORE_CALLS = 7
"""That may follow the first one in the same answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallForm:
    """How calls of tools are forced."""

    tools: Sequence[Mapping[str, Json]]
    """One of these is called."""
    is_tagged: bool
    """See `call_reader`."""
    several: bool
    """Whether more calls may follow, where they have tags."""


class GrammarCompiler:
    """Makes constraints for the answers of one model. What is compiled once is used for all answers of a request."""

    def __init__(self, model: LanguageModel, token_texts: TokenTexts) -> None:
        self._model = model
        self._token_texts = token_texts

    def compile_schema(self, schema: Mapping[str, Json]) -> Callable[[], Constraint]:
        """Answers that are JSON of a schema.

        Raises:
            ApiError: the schema says something that cannot be enforced.
        """
        options = {"whitespace_pattern": WHITESPACE}
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=options)  # type: ignore[arg-type]
        return self._compile(grammar, "response_format")

    def compile_calls(self, form: CallForm) -> Callable[[], Constraint]:
        """Answers that call one of the tools.

        Raises:
            ApiError: the schema of a tool's parameters says something that cannot be enforced.
        """
        return self._compile(LLMatcher.grammar_from_lark(self._call_grammar(form)), "tools")

    def _call_grammar(self, form: CallForm) -> str:
        schema = json.dumps({"anyOf": [_call_schema(tool, is_tagged=form.is_tagged) for tool in form.tools]})
        if not form.is_tagged:
            return f"start: %json {schema}\n"
        more = f'("\\n"? call){{0,{MORE_CALLS}}}' if form.several else ""
        call = f'{self._written(OPENING)} "\\n"? json "\\n"? {self._written(CLOSING)}'
        return f"start: call {more}\ncall: {call}\njson: %json {schema}\n"

    def _written(self, tag: str) -> str:
        """A tag in a grammar: a token by its id, if it is one, else its text."""
        token_id = self._model.tokenizer.get_vocab().get(tag)
        added = self._model.tokenizer.added_tokens_decoder
        return f"<[{token_id}]>" if token_id in added else json.dumps(tag)

    def _compile(self, grammar: str, param: str) -> Callable[[], Constraint]:
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            reason = " ".join(matcher.get_error().split())[:300]
            raise invalid_request(f'"{param}" has a schema that cannot be enforced: {reason}', param=param)
        rows, stops = len(self._model.head.weight), self._model.stop_token_ids
        return lambda: GrammarConstraint(matcher.deep_copy(), rows, stops)

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        """Takes a second for a large vocabulary, so it is made when it is first needed."""
        model = self._model
        vocabulary = _ByteVocabulary(model.tokenizer, self._token_texts, sorted(model.stop_token_ids))
        return LLTokenizer(TokenizerWrapper(vocabulary), eos_token=sorted(model.stop_token_ids))


class GrammarConstraint:
    """Follows one answer through a grammar. Where the grammar ends, only the end of the turn is left."""

    def __init__(self, matcher: LLMatcher, rows: int, stop_token_ids: frozenset[int]) -> None:
        """`rows`: of the vocabulary, its padding included."""
        self._matcher = matcher
        self._rows = rows
        self._stop_token_ids = stop_token_ids

    def allowed(self) -> Bool[Tensor, " V"]:
        allowed = np.zeros(self._rows, dtype=np.bool_)
        if not self._matcher.is_error():
            bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
            known = np.unpackbits(bits, bitorder="little", count=min(8 * len(bits), self._rows))
            allowed[: len(known)] = known
        if not allowed.any():
            if self._matcher.is_error():
                logger.warning("a grammar ended early: %s", self._matcher.get_error())
            allowed[list(self._stop_token_ids)] = True
        return torch.from_numpy(allowed)

    def accept(self, token_id: int) -> None:
        self._matcher.consume_token(token_id)

    def copy(self) -> Self:
        return type(self)(self._matcher.deep_copy(), self._rows, self._stop_token_ids)


class _ByteVocabulary:
    """A tokenizer in the form that llguidance asks for."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, texts: TokenTexts, stops: Sequence[int]) -> None:
        added = tokenizer.added_tokens_decoder
        self._tokenizer = tokenizer
        self.eos_token_id = stops[0]
        self.bos_token_id = tokenizer.bos_token_id
        self.tokens = [texts.of(token_id) for token_id in range(len(tokenizer))]
        self.special_token_ids = sorted({*added, *tokenizer.all_special_ids, *stops})

    def __call__(self, text: str) -> list[int]:
        token_ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return token_ids


def _call_schema(tool: Mapping[str, Json], *, is_tagged: bool) -> dict[str, Json]:
    function = tool["function"]
    assert isinstance(function, dict), "parsed"
    arguments = "arguments" if is_tagged else "parameters"
    return {
        "type": "object",
        "properties": {
            "name": {"const": function["name"]},
            arguments: function.get("parameters")
            or {"type": "object", "properties": {}, "additionalProperties": False},
        },
        "required": ["name", arguments],
        "additionalProperties": False,
    }
