"""What a server takes at most: all limits in one place, with their defaults."""

from __future__ import annotations

from pydantic import Field

from verifine.config.graders.schema import Schema


class ServingLimits(Schema):
    """Raise one with `verifine endpoint MODEL NAME=VALUE`, or in Python with `ServingLimits(NAME=VALUE)`."""

    context_tokens: int = Field(
        default=4096,
        ge=2,
        description="Tokens of a prompt and its answer together; less if the model's own context is shorter.",
    )
    answer_tokens: int = Field(
        default=1024, ge=1, description="Tokens of an answer. It is also the length of those that ask for none."
    )
    concurrent_answers: int = Field(
        default=32, ge=1, description="Answers that are written at the same time, as far as cache_bytes holds them."
    )
    cache_bytes: int = Field(
        default=2 << 30,
        ge=1,
        description="Memory for keys and values, which are kept as answers grow; at least that of one answer.",
    )
    choices: int = Field(default=8, ge=1, le=128, description="Answers to one prompt (`n`).")
    prompts: int = Field(default=32, ge=1, description="Prompts of one request for completions.")
    waiting_requests: int = Field(
        default=64, ge=0, description="Requests that wait for a place; the next one is answered with 429."
    )
    schema_bytes: int = Field(
        default=65536, ge=1, description="The JSON schema of an answer, or of all tools of which one has to be called."
    )
    body_bytes: int = Field(default=4 << 20, ge=1, description="The body of a request.")
    body_seconds: float = Field(default=30, gt=0, description="How long the body of a request may take to arrive.")
    request_seconds: float = Field(
        default=600, gt=0, description="How long a request may take, its wait included, until it is broken off."
    )
    send_seconds: float = Field(
        default=30, gt=0, description="How long a client may leave a part of its answer unread until it is given up."
    )
