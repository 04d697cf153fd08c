"""Answers of a given form: JSON, JSON of a schema, and calls of tools, through llguidance."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from transformers import PreTrainedTokenizerFast

from verifine.models.load import LanguageModel
from verifine.serving.answer_form import AnswerForm, not_enforceable, short_reason
from verifine.serving.call_reader import CLOSING, OPENING
from verifine.serving.schema_parts import labels, relocate, remainders
from verifine.serving.token_texts import TokenTexts
from verifine.types import Json
from verifine.wire.api_error import invalid_request

WHITESPACE = r"( |\n {0,16})?"
"""Between the parts of JSON: one blank, or a new line with its indentation. More would let an answer never end."""

MORE_CALLS = 7
"""That may follow the first one in the same answer."""

MOST_ALTERNATIVES = 20_000
"""What may be next in an answer: four for each optional field of an object. The library allows 2000 by default."""

MOST_REMAINDERS = 20_000
"""The sum of all different `multipleOf`, and of what they are combined: a grammar follows all remainders, and 100,000
take seconds."""

_LIBRARY_OPTIONS = "x-guidance"
"""With it, a schema could turn keywords that cannot be enforced into ones that are ignored."""


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
    """Makes the forms of answers of one model."""

    def __init__(self, model: LanguageModel, token_texts: TokenTexts, schema_bytes: int) -> None:
        """`schema_bytes`: see `ServingLimits`."""
        self._model = model
        self._token_texts = token_texts
        self._schema_bytes = schema_bytes

    def compile_schema(self, schema: Mapping[str, Json]) -> AnswerForm:
        """Answers that are JSON of a schema.

        Raises:
            ApiError: the schema says something that cannot be enforced.
        """
        options = {"whitespace_pattern": WHITESPACE}
        text = json.dumps({name: value for name, value in schema.items() if name != _LIBRARY_OPTIONS})
        self._refuse_costly([schema], len(text), "response_format")
        grammar = LLMatcher.grammar_from_json_schema(text, overrides=options)  # type: ignore[arg-type]
        return self._compile(grammar, "response_format")

    def compile_calls(self, form: CallForm) -> AnswerForm:
        """Answers that call one of the tools.

        Raises:
            ApiError: the schema of a tool's parameters says something that cannot be enforced.
        """
        grammar = self._call_grammar(form)
        self._refuse_costly(form.tools, len(grammar), "tools")
        _refuse_shared_labels(form.tools)
        return self._compile(LLMatcher.grammar_from_lark(grammar), "tools")

    def _call_grammar(self, form: CallForm) -> str:
        arguments = "arguments" if form.is_tagged else "parameters"
        schema = json.dumps({"anyOf": [_call_schema(tool, place, arguments) for place, tool in enumerate(form.tools)]})
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

    def _refuse_costly(self, schemas: Sequence[Mapping[str, Json]], length: int, param: str) -> None:
        """Refuses what would keep other requests waiting."""
        if length > self._schema_bytes:
            raise invalid_request(
                f'"{param}" has a schema of {length} bytes; this server takes at most {self._schema_bytes}', param=param
            )
        most = sum({each for schema in schemas for each in remainders(schema)})
        if most > MOST_REMAINDERS:
            raise invalid_request(
                f'"{param}" has a schema that cannot be enforced: its numbers in "multipleOf" add up to {most}; '
                f"give at most {MOST_REMAINDERS}, with the least common multiple of those that are combined",
                param=param,
            )

    def _compile(self, grammar: str, param: str) -> AnswerForm:
        limits = LLParserLimits(max_items_in_row=MOST_ALTERNATIVES, verbose_errors=False)
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise not_enforceable(short_reason(matcher), param)
        form = AnswerForm(
            matcher=matcher, rows=len(self._model.head.weight), stop_token_ids=self._model.stop_token_ids, param=param
        )
        if not form.begin().has_next():
            raise not_enforceable("no answer follows it", param)
        return form

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        """Takes a second for a large vocabulary, so it is made when it is first needed."""
        model = self._model
        vocabulary = _ByteVocabulary(model.tokenizer, self._token_texts, sorted(model.stop_token_ids))
        return LLTokenizer(TokenizerWrapper(vocabulary), eos_token=sorted(model.stop_token_ids))


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


def _refuse_shared_labels(tools: Sequence[Mapping[str, Json]]) -> None:
    """A reference would find the schema of another tool."""
    counts = Counter(label for tool in tools for label in labels(tool["function"]))
    if shared := [label for label, count in counts.items() if count > 1]:
        raise not_enforceable(
            f'two tools have the same "$id" or "$anchor" {shared[0][:80]!r}; give each its own', "tools"
        )


def _call_schema(tool: Mapping[str, Json], place: int, arguments: str) -> dict[str, Json]:
    """The schema of a call of the tool at `place`. `arguments`: the name of the field that has them."""
    function = tool["function"]
    assert isinstance(function, dict), "parsed"
    parameters = function.get("parameters") or {"type": "object", "properties": {}, "additionalProperties": False}
    return {
        "type": "object",
        "properties": {
            "name": {"const": function["name"]},
            arguments: relocate(parameters, f"#/anyOf/{place}/properties/{arguments}"),
        },
        "required": ["name", arguments],
        "additionalProperties": False,
    }
