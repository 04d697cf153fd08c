"""How long a model may think before it answers, as a request asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from verifine.config import SamplingConfig
from verifine.data.thoughts import CLOSING, OPENING
from verifine.models.thinking import ThinkingLimit, ThoughtTags
from verifine.serving.served_model import ServedModel
from verifine.wire.api_error import invalid_request
from verifine.wire.completion_requests import ChatRequest, Effort

SHARES: Mapping[Effort, float | None] = MappingProxyType(
    {"none": 0.0, "minimal": 0.125, "low": 0.25, "medium": 0.5, "high": None, "xhigh": None, "max": None}
)
"""Of the longest answer, that thoughts may have. None: there is no budget."""

END = SamplingConfig().thinking_end


def read_thinking_limit(served: ServedModel, request: ChatRequest, longest: int) -> ThinkingLimit | None:
    """The budget of thoughts; None: there is none. `longest`: tokens that the answer may have.

    An effort means nothing to a model without tokens around its thoughts, or where the answer is too short to be ended.

    Raises:
        ApiError: a budget in tokens cannot be kept, or leaves nothing for an answer; or a stop text ends every thought.
    """
    end: tuple[int, ...] = tuple(served.renderer(END, add_special_tokens=False).input_ids)
    most = longest - len(end) - 1
    tags, tokens = served.thought_tags, request.thinking_token_budget
    if tokens is not None:
        tags = _check_budget(served, tokens, most)
    elif request.reasoning_effort is not None and most >= 0:
        share = SHARES[request.reasoning_effort]
        tokens = None if share is None else min(int(share * longest), most)
    if tags is None or tokens is None:
        return None
    if stopping := [text for text in request.stops if text in END]:
        message = f'"stop" has {stopping[0]!r}, which is written to end a thought: no answer would come; leave it out'
        raise invalid_request(message, param="stop")
    return ThinkingLimit(tags=tags, tokens=tokens, end=end, vocabulary=len(served.model.head.weight))


def _check_budget(served: ServedModel, tokens: int, most: int) -> ThoughtTags:
    if served.thought_tags is None:
        raise invalid_request(
            f"{served.name} cannot be told when to stop thinking: its tokenizer has no tokens {OPENING} and {CLOSING}",
            param="thinking_token_budget",
        )
    if tokens > most:
        smaller = f"give at most {most}" if most >= 0 else "leave it out"
        raise invalid_request(
            f'"thinking_token_budget" is {tokens}, which leaves nothing for an answer; {smaller}, or make space for a '
            "longer answer",
            param="thinking_token_budget",
        )
    return served.thought_tags
