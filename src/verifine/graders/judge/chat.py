"""The chat that a judge reads, as `POST /chat/completions` takes it."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders import JudgeMessage
from verifine.config.graders.judge_input import InputAudio, InputImage, JudgePart
from verifine.graders.template import render
from verifine.types import Json, Sample


def render_chat(messages: Sequence[JudgeMessage], instruction: str, sample: Sample) -> list[Json]:
    """The messages with the sample filled in, and our `instruction` before them.

    It goes into their own system message where they begin with one: many chat templates allow one and no more.

    Raises:
        MissingFieldError: if the sample lacks a field that they name.
    """
    first, *rest = (_message(message, sample) for message in messages)
    if first["role"] != "system":
        return [{"role": "system", "content": instruction}, first, *rest]
    theirs = first["content"]
    if isinstance(theirs, str):
        return [{"role": "system", "content": f"{instruction}\n\n{theirs}"}, *rest]
    parts = theirs if isinstance(theirs, list) else [theirs]
    return [{"role": "system", "content": [_text(instruction), *parts]}, *rest]


def _message(message: JudgeMessage, sample: Sample) -> dict[str, Json]:
    content = message.content
    parts = [_part(part, sample) for part in (content if isinstance(content, tuple) else (content,))]
    if len(parts) == 1 and parts[0]["type"] == "text":  # as text, since not every server reads parts
        return {"role": message.role, "content": parts[0]["text"]}
    return {"role": message.role, "content": list(parts)}


def _part(part: str | JudgePart, sample: Sample) -> dict[str, Json]:
    if isinstance(part, str):
        return _text(render(part, sample))
    if isinstance(part, InputImage):
        image: dict[str, Json] = {"url": render(part.image_url, sample)}
        if part.detail is not None:
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}
    if isinstance(part, InputAudio):
        sound = part.input_audio
        return {"type": "input_audio", "input_audio": {"data": render(sound.data, sample), "format": sound.format}}
    return _text(render(part.text, sample))


def _text(text: str) -> dict[str, Json]:
    return {"type": "text", "text": text}
