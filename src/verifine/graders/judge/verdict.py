"""Reading what a judge answered."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from verifine.data.strict_json import JsonError, parse_json
from verifine.types import GradeFault, Json, TokenUsage

MAX_CHARACTERS = 64_000
"""The last characters of an answer that are read if it is not just JSON: the verdict is at the end."""
MAX_CANDIDATES = 200
"""Places where an object may begin. A judge's answer with more of them is not searched to the end."""

_OBJECT_BEGINS = re.compile(r'\{\s*"')
_AFTER_THE_VERDICT = "` \t\r\n"
"""Blanks, and the end of a fenced block."""
_DECODER = json.JSONDecoder()


class VerdictError(Exception):
    """An answer without a verdict."""

    def __init__(self, message: str, fault: GradeFault = GradeFault.MODEL_PARSE) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The parts of the answer of `POST /chat/completions` that are used."""

    content: str
    refusal: str | None
    finish_reason: str | None
    usage: TokenUsage


def read_completion(reply: Json) -> Completion:
    """VerdictError if the server's answer is not a chat completion."""
    choices = _field(reply, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = _field(choice, "message")
    if not isinstance(message, dict):
        raise VerdictError("the server's answer is not a chat completion", GradeFault.MODEL_SERVER)
    content, refusal, reason = message.get("content"), message.get("refusal"), _field(choice, "finish_reason")
    return Completion(
        content=content if isinstance(content, str) else "",
        refusal=refusal if isinstance(refusal, str) and refusal else None,
        finish_reason=reason if isinstance(reason, str) else None,
        usage=_usage(_field(reply, "usage")),
    )


def read_result(completion: Completion) -> Json:
    """The verdict's result, whatever it is.

    The verdict is the whole answer, or an object at its end, in a fenced block or not. One with words after it does
    not count: a judge that thinks aloud quotes what it judges, and that may look like a verdict.

    Raises:
        VerdictError: the judge refused, or its answer has no verdict.
    """
    if completion.refusal is not None:
        raise VerdictError(f"it refused: {_end(completion.refusal)}", GradeFault.MODEL_REFUSAL)
    if completion.finish_reason == "content_filter":
        raise VerdictError("its server's content filter stepped in", GradeFault.MODEL_REFUSAL)
    text = completion.content.strip().rstrip(_AFTER_THE_VERDICT)
    whole_thought = completion.finish_reason != "length"
    try:
        verdict = parse_json(_verdict_at_the_end(text) if whole_thought else text)
    except JsonError as error:
        if not whole_thought:
            raise VerdictError("its answer was cut off before the verdict; raise max_completions_tokens") from error
        raise VerdictError(f'its verdict is not JSON ({error}); its answer ends with "{_end(text)}"') from error
    if not isinstance(verdict, dict) or "result" not in verdict:
        raise VerdictError(f'its answer does not end with a verdict, but with "{_end(text)}"')
    return verdict["result"]


def _verdict_at_the_end(text: str) -> str:
    """The outermost object at the end of the text; the whole text if there is none."""
    end_of_text, position = text[-MAX_CHARACTERS:], 0
    for _ in range(MAX_CANDIDATES):
        begin = _OBJECT_BEGINS.search(end_of_text, position)
        if begin is None:
            break
        try:
            _, position = _DECODER.raw_decode(end_of_text, begin.start())
        except (ValueError, RecursionError):
            position = begin.start() + 1
            continue
        if position == len(end_of_text):
            return end_of_text[begin.start() :]
    return text


def _end(text: str) -> str:
    return " ".join(text[-100:].split())


def _usage(usage: Json) -> TokenUsage:
    return TokenUsage(
        prompt=_count(_field(usage, "prompt_tokens")),
        completion=_count(_field(usage, "completion_tokens")),
        cached=_count(_field(_field(usage, "prompt_tokens_details"), "cached_tokens")),
    )


def _count(value: Json) -> int:
    """0 where the server does not say."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _field(value: Json, name: str) -> Json:
    return value.get(name) if isinstance(value, dict) else None
