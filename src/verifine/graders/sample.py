"""The `sample` that templates and Python graders see."""

from __future__ import annotations

import json

from verifine.data.strict_json import JsonError, parse_json
from verifine.data.thoughts import bare_thought
from verifine.graders.opened import with_opened
from verifine.types import Json, Sample


def sample_fields(sample: Sample) -> dict[str, Json]:
    """The answer as OpenAI's graders see it; the names are those of `SAMPLE_FIELDS`.

    `output_json` is None where the answer is not JSON. `output_tools` are the calls that stand between `<tool_call>`
    tags, as Qwen, SmolLM and similar models write them. `opened_text`, which OpenAI's graders do not have, is what the
    chat template wrote of the answer before the model wrote the rest, and `reasoning_text` the thought of a model that
    thinks apart from its answers.
    """
    text = sample.output_text
    called = with_opened(sample, ("tool_call",))
    blocks = (block.partition("</tool_call>") for block in called.split("<tool_call>")[1:])
    tools = [call for inside, end, _ in blocks if end and (call := _tool_call(_parsed(inside))) is not None]
    message: dict[str, Json] = {"role": "assistant", "content": text}
    if tools:
        message["tool_calls"] = list(tools)
    return {
        "output_text": text,
        "output_json": _parsed(text),
        "output_tools": list(tools),
        "choices": [{"index": 0, "message": message}],
        "opened_text": sample.opened,
        "reasoning_text": bare_thought(sample.opened + sample.thought) if sample.thought else "",
    }


def _tool_call(value: Json) -> Json:
    """A call in OpenAI's form, its arguments as JSON text; None if it is not a call."""
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"type": "function", "function": {"name": value["name"], "arguments": text}}


def _parsed(text: str) -> Json:
    try:
        return parse_json(text)
    except JsonError:
        return None
