"""Prompts that the context of a model cannot hold."""

from __future__ import annotations

from verifine.serving.served_model import ServedModel
from verifine.wire.api_error import ApiError, invalid_request

CHARACTERS_PER_TOKEN = 16
"""More than any text has on average, other than blanks."""


def context_exceeded(served: ServedModel, count: int | str, asked: int | None, param: str) -> ApiError:
    """`count`: tokens of the prompt; `asked`: those that its answer may have. None: the request does not say."""
    answer = "" if asked is None else f" and asks for up to {asked} more"
    return invalid_request(
        f"the prompt has {count} tokens{answer}, and the context of {served.name} ends at {served.context_tokens} "
        "tokens",
        param=param,
        code="context_length_exceeded",
    )


def refuse_long_text(served: ServedModel, text: str, param: str) -> None:
    """Looks at beginnings of the text, since others wait while a text of megabytes is made into tokens.

    The last word of a beginning may have more tokens than the whole word has, but not as many as the context.

    Raises:
        ApiError: one of them has more than twice the tokens of the context.
    """
    most = 2 * served.context_tokens
    length = CHARACTERS_PER_TOKEN * most
    while length < len(text):
        if len(served.renderer(text[:length], verbose=False).input_ids) > most:
            raise context_exceeded(served, f"more than {most}", None, param)
        length *= 2
