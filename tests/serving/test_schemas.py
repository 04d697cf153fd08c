"""200 generated schemas, each bounded, answered by a model with random weights."""

from __future__ import annotations

import json
import random

import jsonschema
import pytest

from verifine.models.answer_text import AnswerText
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.model_runner import OwnWeightsRunner
from verifine.rollout.native.native_scheduler import NativeScheduler
from verifine.rollout.scheduler import LogitChanges, Request
from verifine.serving import ServedModel
from verifine.testing.bounded_schemas import make_schema
from verifine.types import FinishReason

COUNT = 200
LONGEST = 400


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
