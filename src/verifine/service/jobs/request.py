"""`POST /v1/fine_tuning/jobs`, as its fields are written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from verifine.config.graders import GraderConfig
from verifine.types import Json
from verifine.wire.api_error import invalid_request
from verifine.wire.api_request import ApiRequest
from verifine.wire.parsing import read_fields, validate_fields

Auto = Literal["auto"]
ReasoningEffort = Literal["default", "low", "medium", "high"]

MAX_SEED = 2**31 - 1
MAX_METADATA = 16

_SHOWN = 200
"""Characters of a field's name in a message."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]


class ReinforcementHyperparameters(ApiRequest):
    """OpenAI's seven, and ours beside them."""

    batch_size: Annotated[int, Field(ge=1, le=256)] | Auto = "auto"
    learning_rate_multiplier: Annotated[float, Field(gt=0)] | Auto = "auto"
    n_epochs: Annotated[int, Field(ge=1, le=50)] | Auto = "auto"
    compute_multiplier: Annotated[float, Field(gt=1e-5, le=10)] | Auto = "auto"
    eval_interval: Annotated[int, Field(ge=1)] | Auto = "auto"
    eval_samples: Annotated[int, Field(ge=1, le=1024)] | Auto = "auto"
    reasoning_effort: ReasoningEffort = "default"
    algorithm: Name | None = None
    """None: the recommended one."""
    group_size: Annotated[int, Field(ge=1, le=1024)] | None = None
    """None: by compute_multiplier."""


class WrappedSchema(ApiRequest):
    """A JSON schema with its name."""

    name: Name
    schema_: Annotated[dict[str, JsonValue], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class TextResponse(ApiRequest):
    """Answers of any form."""

    type: Literal["text"]


class JsonObjectResponse(ApiRequest):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchemaResponse(ApiRequest):
    """JSON that fits a schema, which stands in `json_schema` as in chat completions, or in its place."""

    type: Literal["json_schema"]
    json_schema: WrappedSchema | None = None
    name: Name | None = None
    schema_: Annotated[dict[str, JsonValue] | None, Field(alias="schema")] = None
    description: str | None = None
    strict: bool | None = None


ResponseForm = Annotated[TextResponse | JsonObjectResponse | JsonSchemaResponse, Field(discriminator="type")]


class Reinforcement(ApiRequest):
    """How answers are scored, and how much is learned from them."""

    grader: GraderConfig
    hyperparameters: ReinforcementHyperparameters = ReinforcementHyperparameters()
    response_format: ResponseForm | None = None


class Method(ApiRequest):
    """OpenAI has three methods; this service has one of them."""

    type: Literal["reinforcement"]
    reinforcement: Reinforcement


class CreateJob(ApiRequest):
    """A job to be made."""

    model: Name
    training_file: Name
    validation_file: Name | None = None
    method: Method
    suffix: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=MAX_METADATA)] = Field(default_factory=dict)
    verifine: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of a RunConfig that may come from elsewhere; see `remote_settings`."""


REFUSED = {
    "hyperparameters": "they are those of supervised training; give method.reinforcement.hyperparameters",
    "integrations": "this service sends nothing elsewhere",
}
"""Fields of OpenAI's that this service does not have, and why."""


def read_job(body: bytes) -> CreateJob:
    """The job that a body asks for.

    Raises:
        ApiError: a field is wrong, or it asks for another kind of training.
    """
    fields = read_fields(body)
    _refuse_nul(fields, ())
    method = fields.get("method")
    if method is None and {"model", "training_file"} <= fields.keys():
        message = (
            '"method" is missing, and OpenAI then trains by supervision; this service trains by reinforcement only'
        )
        raise invalid_request(message, param="method.type", code="unsupported_method")
    kind = method.get("type") if isinstance(method, dict) else None
    if isinstance(kind, str) and kind != "reinforcement":
        message = f'"method.type" is {kind[:40]!r}; this service trains by reinforcement only'
        raise invalid_request(message, param="method.type", code="unsupported_method")
    for name, reason in REFUSED.items():
        if fields.get(name):
            raise invalid_request(f'"{name}" is not supported: {reason}', param=name, code="unsupported_parameter")
    return validate_fields({name: value for name, value in fields.items() if name not in REFUSED}, CreateJob)


def _refuse_nul(value: Json, place: tuple[str, ...]) -> None:
    """PostgreSQL looks into no JSON with it."""
    if isinstance(value, str) and "\0" in value:
        where = ".".join(place).replace("\0", "\\u0000")[:_SHOWN]
        message = f'"{where}" holds NUL (\\u0000), which cannot be stored; leave it out'
        raise invalid_request(message, param=where)
    if isinstance(value, dict):
        for name, each in value.items():
            _refuse_nul(name, (*place, name))
            _refuse_nul(each, (*place, name))
    if isinstance(value, list):
        for each in value:
            _refuse_nul(each, place)
