"""The requests of OpenAI's chat completions and completions, as their fields are written."""

from __future__ import annotations

from typing import Annotated, Literal, Self, cast

from pydantic import Field, JsonValue, model_validator

from verifine.wire.api_request import ApiRequest

SEED_LIMIT = 2**63

NonEmpty = Annotated[str, Field(min_length=1)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
TokenId = Annotated[int, Field(ge=0)]


class StreamOptions(ApiRequest):
    """What a stream has besides the answer."""

    include_usage: bool = False
    include_obfuscation: bool = False
    """Taken and ignored."""


class SamplingFields(ApiRequest):
    """What both kinds of requests have. Null stands for a field that is not given."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1)] = 1
    stop: NonEmpty | Annotated[list[NonEmpty], Field(max_length=4)] = Field(default_factory=list)
    seed: Annotated[int, Field(ge=-SEED_LIMIT, lt=SEED_LIMIT)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    logit_bias: dict[
        Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})$")], Annotated[float, Field(ge=-100, le=100)]
    ] = Field(default_factory=dict)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    user: str | None = None
    """Taken and ignored."""

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @model_validator(mode="after")
    def _stream_options_have_a_stream(self) -> Self:
        if "stream_options" in self.model_fields_set and not self.stream:
            raise ValueError("`stream_options` belongs to a stream; set stream, or leave it out")
        return self


class JsonSchemaFormat(ApiRequest):
    """A JSON schema that the answer follows."""

    name: str
    schema_: Annotated[dict[str, JsonValue], Field(alias="schema")] = Field(default_factory=dict)
    description: str | None = None
    strict: bool | None = None


class TextFormat(ApiRequest):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormat(ApiRequest):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(ApiRequest):
    """JSON of a form."""

    type: Literal["json_schema"]
    json_schema: JsonSchemaFormat


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | SchemaFormat, Field(discriminator="type")]


class NamedFunction(ApiRequest):
    """A function by its name."""

    name: NonEmpty


class NamedToolChoice(ApiRequest):
    """The tool that has to be called."""

    type: Literal["function"]
    function: NamedFunction


class ChatRequest(SamplingFields):
    """`POST /v1/chat/completions`. The messages and tools are read as in a file of training data."""

    messages: list[JsonValue]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    response_format: ResponseFormat = TextFormat(type="text")
    tools: list[JsonValue] = Field(default_factory=list)
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    """None: auto where there are tools."""
    parallel_tool_calls: bool = True
    modalities: list[Literal["text"]] = Field(default_factory=list)
    reasoning_effort: Effort | None = None
    thinking_token_budget: Annotated[int, Field(ge=0)] | None = None
    """The most tokens of thought. Not OpenAI's; vLLM's name."""
    metadata: dict[str, str] | None = None
    """Taken and ignored, as all fields below."""
    store: bool | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    prediction: JsonValue = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    @property
    def longest_answer(self) -> int | None:
        """None: the request does not say."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("`top_logprobs` needs logprobs: true")
        if self.thinking_token_budget is not None and self.reasoning_effort is not None:
            raise ValueError("`reasoning_effort` and thinking_token_budget both bound the thought; give one of them")
        if self.max_completion_tokens is not None and self.max_tokens is not None:
            raise ValueError("`max_tokens` is an older name of max_completion_tokens; give one of them")
        return self


class CompletionRequest(SamplingFields):
    """`POST /v1/completions`: a text, or tokens, to be continued as they are, without a chat template."""

    prompt: str | list[str] | list[TokenId] | list[list[TokenId]]
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool = False
    best_of: Annotated[int, Field(ge=1)] | None = None

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """Each prompt, as text or as tokens."""
        is_single = isinstance(self.prompt, str) or (self.prompt and isinstance(self.prompt[0], int))
        return cast("list[str] | list[list[int]]", [self.prompt] if is_single else self.prompt)

    @model_validator(mode="after")
    def _every_answer_is_given(self) -> Self:
        if self.best_of is not None and self.best_of != self.n:
            raise ValueError("`best_of` must be the same as n: every answer that is written is also given")
        if self.echo and self.logprobs is not None:
            raise ValueError("`echo` cannot have logprobs: a prompt's own log-probabilities are not computed")
        return self
