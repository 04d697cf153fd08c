"""The chat that a judge reads, in OpenAI's form, and how the judge is sampled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from verifine.config.graders.schema import Schema, Template


class InputText(Schema):
    """A text in a judge's message."""

    type: Literal["input_text"]
    text: Template


class OutputText(Schema):
    """A text that a model wrote, in a judge's message."""

    type: Literal["output_text"]
    text: Template


class InputImage(Schema):
    """An image in a judge's message."""

    type: Literal["input_image"]
    image_url: Template
    detail: Literal["auto", "low", "high"] | None = None


class Audio(Schema):
    """Sound, as base64."""

    data: Template
    format: Literal["mp3", "wav"]


class InputAudio(Schema):
    """Sound in a judge's message."""

    type: Literal["input_audio"]
    input_audio: Audio


JudgePart = Annotated[InputText | OutputText | InputImage | InputAudio, Field(discriminator="type")]


def _kind_of(content: object) -> str:
    if isinstance(content, str):
        return "<text>"
    return "<parts>" if isinstance(content, list | tuple) else "<part>"


JudgeText = Annotated[Annotated[Template, Tag("<text>")] | Annotated[JudgePart, Tag("<part>")], Discriminator(_kind_of)]
JudgeContent = Annotated[
    Annotated[Template, Tag("<text>")]
    | Annotated[JudgePart, Tag("<part>")]
    | Annotated[tuple[JudgeText, ...], Tag("<parts>")],
    Discriminator(_kind_of),
]


class JudgeMessage(Schema):
    """A turn of the chat that the judge reads."""

    role: Literal["user", "assistant", "system", "developer"]
    content: JudgeContent = Field(description="Text, or parts such as {type: input_text, text: ...}.")
    type: Literal["message"] | None = None


class JudgeSampling(Schema):
    """How the judge is sampled; null leaves it to the judge's server."""

    seed: int | None = None
    top_p: float | None = Field(default=None, gt=0, le=1)
    temperature: float | None = Field(default=None, ge=0)
    max_completions_tokens: int | None = Field(
        default=None, ge=1, description="Longest verdict, in tokens (the name is OpenAI's)."
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


Judged = Annotated[tuple[JudgeMessage, ...], Field(min_length=1)]


def templates_in(messages: Iterable[JudgeMessage]) -> tuple[str, ...]:
    """Every template in the messages."""
    return tuple(text for message in messages for text in _texts(message.content))


def _texts(content: JudgeContent) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, tuple):
        for part in content:
            yield from _texts(part)
    elif isinstance(content, InputImage):
        yield content.image_url
    elif isinstance(content, InputAudio):
        yield content.input_audio.data
    else:
        yield content.text
