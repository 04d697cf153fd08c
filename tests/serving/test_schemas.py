"""200 generated schemas, each bounded, answered by a model with random weights."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest

from verifine.models.answer_text import AnswerText
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.model_runner import OwnWeightsRunner
from verifine.rollout.native.native_scheduler import NativeScheduler
from verifine.rollout.scheduler import LogitChanges, Request
from verifine.serving import ServedModel
from verifine.types import FinishReason

COUNT = 200
LONGEST = 400


def make_schema(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    """A schema whose answers have an end."""
    kinds = ["integer", "string", "boolean", "null", "enum", "pattern"]
    if depth < 2:
        kinds += ["object", "object", "array", "anyOf"]
    match chance.choice(kinds) if depth else "object":
        case "integer":
            low = chance.randint(-50, 50)
            return {"type": "integer", "minimum": low, "maximum": low + chance.randint(0, 1000)}
        case "string":
            return {"type": "string", "maxLength": chance.randint(0, 12)}
        case "enum":
            return {"enum": chance.sample(["red", "green", "blue", 1, 2, None, True], chance.randint(1, 5))}
        case "pattern":
            return {"type": "string", "pattern": chance.choice(["^[a-c]{1,3}$", "^\\d{4}-\\d{2}$", "^(yes|no)$"])}
        case "object":
            names = chance.sample("abcdefgh", chance.randint(1, 4))
            required = [name for name in names if chance.random() < 0.7]
            fields = {name: make_schema(chance, depth + 1) for name in names}
            return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
        case "array":
            least = chance.randint(0, 2)
            inside = make_schema(chance, depth + 1)
            return {"type": "array", "items": inside, "minItems": least, "maxItems": least + chance.randint(0, 2)}
        case "anyOf":
            return {"anyOf": [make_schema(chance, depth + 1) for _ in range(2)]}
        case plain:
            return {"type": plain}


@pytest.mark.slow
def test_nearly_all_answers_end_and_all_that_end_are_of_their_schema(tool_model: ServedModel) -> None:
    model = tool_model.model
    schemas = {f"{place}": make_schema(random.Random(place)) for place in range(COUNT)}
    capacity = Capacity(rows=32, tokens=1 << 16, prompt_tokens=8, own_tokens=LONGEST)
    scheduler = NativeScheduler(OwnWeightsRunner(model), capacity, model.device)
    reader = AnswerText(model.tokenizer, model.stop_token_ids, ())
    for name, schema in schemas.items():
        scheduler.add(
            Request(
                id=name,
                token_ids=(5, 6),
                keys=(int(name),),
                max_new_tokens=LONGEST,
                has_ended=reader.has_ended,
                changes=LogitChanges(constrain=tool_model.grammars.compile_schema(schema).begin),
            )
        )
    written: dict[str, list[int]] = {name: [] for name in schemas}
    ended: set[str] = set()
    while not scheduler.is_idle:
        for event in scheduler.step():
            written[event.request_id].append(event.token_id)
            if event.finish_reason is FinishReason.STOP:
                ended.add(event.request_id)
    for name in ended:
        jsonschema.validate(json.loads(reader.of(written[name])), schemas[name])
    assert len(ended) >= 195
