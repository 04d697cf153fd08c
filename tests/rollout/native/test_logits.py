from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from verifine.models.load import LanguageModel
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.model_runner import OwnWeightsRunner
from verifine.rollout.native.native_scheduler import NativeScheduler
from verifine.rollout.scheduler import LogitChanges, Request, TokenEvent
from verifine.testing import load_tiny_model

TOKENS = 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("llama"))


def make_request(model: LanguageModel, changes: LogitChanges | None = None, **settings: Any) -> Request:
    fields = {"id": "r", "keys": (1,), "temperature": 0.0, **settings}
    return Request(
        token_ids=tuple(model.tokenizer("What?").input_ids),
        max_new_tokens=TOKENS,
        has_ended=lambda _: False,
        changes=changes,
        **fields,
    )


def answer(model: LanguageModel, *requests: Request) -> dict[tuple[str, int], list[TokenEvent]]:
    capacity = Capacity(rows=16, tokens=2048, prompt_tokens=12, own_tokens=TOKENS)
    scheduler = NativeScheduler(OwnWeightsRunner(model), capacity, model.device)
    for request in requests:
        scheduler.add(request)
    events: dict[tuple[str, int], list[TokenEvent]] = {}
    while not scheduler.is_idle:
        for event in scheduler.step():
            events.setdefault((event.request_id, event.sample), []).append(event)
    return events


def written(events: Sequence[TokenEvent]) -> list[int]:
    return [event.token_id for event in events]


@pytest.fixture(scope="module")
def plain(model: LanguageModel) -> PreTrainedModel:
    """The same model, run by transformers."""
    return AutoModelForCausalLM.from_pretrained(model.network.name_or_path).eval()


@torch.no_grad()
def next_logits(plain: PreTrainedModel, model: LanguageModel, answer: Sequence[int]) -> Tensor:
    ids = [*model.tokenizer("What?").input_ids, *answer]
    logits = plain(input_ids=torch.tensor([ids])).logits[0, -1]
    assert isinstance(logits, Tensor)
    return logits


def greedy(
    plain: PreTrainedModel, model: LanguageModel, bias: dict[int, float], presence: float, frequency: float
) -> list[int]:
    """A plain loop."""
    tokens: list[int] = []
    for _ in range(TOKENS):
        logits = next_logits(plain, model, tokens)
        for token in range(len(logits)):
            count = tokens.count(token)
            logits[token] += bias.get(token, 0.0) - frequency * count - presence * (count > 0)
        tokens.append(int(logits.argmax()))
    return tokens


@pytest.mark.parametrize(("presence", "frequency"), [(0, 0), (2, 0), (0, 2), (-1.5, 0.5), (50, 0)])
@pytest.mark.parametrize("bias", [{}, {70: 3.0}, {70: 100.0, 5: -100.0}])
def test_penalties_and_bias_change_the_logits_as_openai_says(
    plain: PreTrainedModel, model: LanguageModel, presence: float, frequency: float, bias: dict[int, float]
) -> None:
    changes = LogitChanges(bias=bias, presence_penalty=presence, frequency_penalty=frequency)
    events = answer(model, make_request(model, changes))
    assert written(events["r", 0]) == greedy(plain, model, bias, presence, frequency)


def test_a_large_penalty_lets_no_token_come_twice(model: LanguageModel) -> None:
    events = answer(model, make_request(model, LogitChanges(presence_penalty=1e4)))
    assert len(set(written(events["r", 0]))) == TOKENS


class Alternating:
    """Allows even tokens after odd ones, and odd ones after even ones; the first one is even."""

    def __init__(self, size: int, told: tuple[int, ...] = ()) -> None:
        self.told = told
        self._size = size

    def allowed(self) -> Tensor:
        return torch.arange(self._size) % 2 == len(self.told) % 2

    def accept(self, token_id: int) -> None:
        self.told = (*self.told, token_id)

    def copy(self) -> Self:
        return type(self)(self._size, self.told)


def test_a_constraint_follows_each_sample_where_they_part(model: LanguageModel) -> None:
    size = len(model.head.weight)
    changes = LogitChanges(constrain=lambda: Alternating(size))
    events = answer(model, make_request(model, changes, keys=tuple(range(12)), temperature=1.5))
    answers = [written(events["r", sample]) for sample in range(12)]
    assert {tuple(token % 2 for token in tokens) for tokens in answers} == {(0, 1) * (TOKENS // 2)}
    assert len({tuple(tokens) for tokens in answers}) > 2


@pytest.mark.parametrize("changes", [None, LogitChanges(bias={70: 2.0}, frequency_penalty=1.0)])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_top_logprobs_are_those_of_the_model_itself(
    plain: PreTrainedModel, model: LanguageModel, changes: LogitChanges | None, temperature: float
) -> None:
    request = make_request(model, changes, temperature=temperature, top_p=0.9, top_logprobs=4)
    (events,) = answer(model, request).values()
    for index, event in enumerate(events):
        wanted = torch.log_softmax(next_logits(plain, model, written(events)[:index]), dim=-1)
        assert event.model is not None
        assert event.model.logprob == pytest.approx(wanted[event.token_id].item(), abs=1e-4)
        values, tokens = wanted.topk(4)
        assert [token for token, _ in event.model.likeliest] == tokens.tolist()
        assert [logprob for _, logprob in event.model.likeliest] == pytest.approx(values.tolist(), abs=1e-4)


def test_what_one_request_changes_does_not_reach_another(model: LanguageModel) -> None:
    size = len(model.head.weight)
    unchanged = make_request(model, id="unchanged", keys=(1, 2, 3), temperature=1.0)
    beside = make_request(model, id="beside", keys=(4,))
    changing = make_request(
        model,
        LogitChanges(bias={9: 5.0}, presence_penalty=1.0, constrain=lambda: Alternating(size)),
        id="beside",
        keys=(4,),
        top_logprobs=3,
    )
    alone, together = answer(model, unchanged, beside), answer(model, unchanged, changing)
    assert [alone["unchanged", sample] for sample in range(3)] == [together["unchanged", sample] for sample in range(3)]


def test_a_request_that_asks_for_no_logprobs_gets_none(model: LanguageModel) -> None:
    events = answer(model, make_request(model, top_logprobs=0), make_request(model, id="other"))
    assert all(event.model is not None and event.model.likeliest == () for event in events["r", 0])
    assert all(event.model is None for event in events["other", 0])


def test_ids_without_a_token_stay_impossible(tmp_path: Path) -> None:
    padded = load_tiny_model(tmp_path, padding=5)
    (events,) = answer(padded, make_request(padded, LogitChanges(bias={5: 1.0}), top_logprobs=20)).values()
    for event in events:
        assert event.model is not None
        assert event.token_id in padded.vocabulary
        assert all(token in padded.vocabulary for token, _ in event.model.likeliest)
