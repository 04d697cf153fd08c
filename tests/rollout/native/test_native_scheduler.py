from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from verifine.errors import EngineError
from verifine.models.load import LanguageModel
from verifine.models.network.tree import Tree
from verifine.rollout.native import native_scheduler
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.model_runner import OwnWeightsRunner
from verifine.rollout.native.native_scheduler import NativeScheduler
from verifine.rollout.native.prefill import Prefill
from verifine.rollout.scheduler import Request, TokenEvent
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model
from verifine.types import FinishReason

CAPACITY = Capacity(rows=8, tokens=1024, prompt_tokens=12, own_tokens=10)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    architecture: Architecture = request.param
    return load_tiny_model(tmp_path_factory.mktemp(architecture), architecture)


def make_scheduler(model: LanguageModel, capacity: Capacity = CAPACITY) -> NativeScheduler:
    return NativeScheduler(OwnWeightsRunner(model), capacity, model.device)


def make_request(name: str, model: LanguageModel, *, samples: int = 2, **settings: Any) -> Request:
    def has_ended(token_ids: Sequence[int]) -> bool:
        return token_ids[-1] % 11 == 0

    plain = Request(
        id=name,
        token_ids=tuple(model.tokenizer(name).input_ids),
        keys=tuple(range(100, 100 + samples)),
        max_new_tokens=10,
        has_ended=has_ended,
    )
    return replace(plain, **settings)


Answers = dict[tuple[str, int], list[TokenEvent]]


def collect(events: Sequence[TokenEvent], answers: Answers) -> None:
    for event in events:
        answers.setdefault((event.request_id, event.sample), []).append(event)


def run(scheduler: NativeScheduler, requests: Sequence[Request]) -> Answers:
    answers: Answers = {}
    for request in requests:
        scheduler.add(request)
    while not scheduler.is_idle:
        collect(scheduler.step(), answers)
    return answers


def tokens_of(answers: Answers) -> dict[tuple[str, int], list[int]]:
    return {key: [event.token_id for event in events] for key, events in answers.items()}


def various(model: LanguageModel) -> list[Request]:
    return [
        make_request("abc", model, samples=4),
        make_request("Say 1", model, temperature=0.0, samples=1),
        make_request("zz", model, temperature=0.5, max_new_tokens=3),
        make_request("What?", model, top_p=0.4, keys=(7, 8, 9)),
        make_request("abcd", model, temperature=2.0, top_p=0.9, has_ended=lambda ids: len(ids) == 4),
    ]


def test_each_answer_is_the_one_it_would_have_alone(model: LanguageModel) -> None:
    requests = various(model)
    together = run(make_scheduler(model), requests)
    for request in requests:
        alone = run(make_scheduler(model), [request])
        for key, events in alone.items():
            assert [event.token_id for event in together[key]] == [event.token_id for event in events]
            wanted = [event.logprob for event in events]
            assert [event.logprob for event in together[key]] == pytest.approx(wanted, abs=1e-4)


def test_requests_join_at_the_next_token_and_change_no_other_answer(model: LanguageModel) -> None:
    first, second, third = various(model)[0], various(model)[3], various(model)[2]
    wanted = tokens_of(run(make_scheduler(model), [first])) | tokens_of(run(make_scheduler(model), [second]))
    scheduler = make_scheduler(model)
    answers: Answers = {}
    scheduler.add(first)
    collect(scheduler.step(), answers)
    collect(scheduler.step(), answers)
    scheduler.add(second)
    joined = scheduler.step()
    collect(joined, answers)
    assert {event.request_id for event in joined} == {first.id, second.id}
    while not scheduler.is_idle:
        collect(scheduler.step(), answers)
    assert tokens_of(answers) == wanted
    assert tokens_of(run(scheduler, [third])) == tokens_of(run(make_scheduler(model), [third])), "it can be used again"


def test_each_request_ends_by_its_own_rules(model: LanguageModel) -> None:
    answers = run(make_scheduler(model), various(model))
    assert {len(events) for key, events in answers.items() if key[0] == "zz"} <= {1, 2, 3}
    assert {len(events) for key, events in answers.items() if key[0] == "abcd"} == {4}
    for (name, _), events in answers.items():
        assert all(event.finish_reason is None for event in events[:-1])
        if name == "abcd":
            assert events[-1].finish_reason is FinishReason.STOP
        else:
            is_stopped = events[-1].token_id % 11 == 0
            assert events[-1].finish_reason is (FinishReason.STOP if is_stopped else FinishReason.LENGTH)


def test_a_cancelled_request_writes_no_more_and_frees_its_place(model: LanguageModel) -> None:
    going, dropped, waiting = (
        make_request(name, model, samples=4, has_ended=lambda _: False) for name in ("abc", "Say 1", "zz")
    )
    scheduler = make_scheduler(model)
    answers: Answers = {}
    for request in (going, dropped, waiting):
        scheduler.add(request)
    for _ in range(3):
        collect(scheduler.step(), answers)
    assert ("zz", 0) not in answers, "the rows are taken"
    scheduler.cancel(dropped.id)
    scheduler.cancel("unknown")
    events = scheduler.step()
    assert {event.request_id for event in events} == {going.id, waiting.id}
    collect(events, answers)
    while not scheduler.is_idle:
        collect(scheduler.step(), answers)
    wanted = tokens_of(run(make_scheduler(model), [going])) | tokens_of(run(make_scheduler(model), [waiting]))
    assert {key: ids for key, ids in tokens_of(answers).items() if key[0] != dropped.id} == wanted
    assert {len(events) for key, events in answers.items() if key[0] == dropped.id} == {3}


def test_a_request_that_waits_can_be_cancelled(model: LanguageModel) -> None:
    scheduler = make_scheduler(model)
    scheduler.add(make_request("abc", model))
    scheduler.cancel("abc")
    assert scheduler.is_idle
    assert scheduler.step() == []


def test_the_last_request_can_be_cancelled(model: LanguageModel) -> None:
    scheduler = make_scheduler(model)
    scheduler.add(make_request("abc", model))
    scheduler.step()
    scheduler.cancel("abc")
    assert scheduler.is_idle
    request = various(model)[0]
    assert tokens_of(run(scheduler, [request])) == tokens_of(run(make_scheduler(model), [request]))


def test_requests_wait_their_turn(model: LanguageModel) -> None:
    requests = [make_request(name, model, samples=8) for name in ("abc", "zz", "What?")]
    first_seen = list(dict.fromkeys(key[0] for key in run(make_scheduler(model), requests)))
    assert first_seen == ["abc", "zz", "What?"]


@pytest.mark.parametrize("settings", [{"token_ids": (5,) * 13}, {"max_new_tokens": 11}, {"keys": tuple(range(9))}])
def test_what_would_not_fit_alone_is_refused(settings: dict[str, Any], model: LanguageModel) -> None:
    with pytest.raises(EngineError, match="request abc does not fit"):
        make_scheduler(model).add(make_request("abc", model, **settings))


def long_requests(model: LanguageModel) -> list[Request]:
    """Of one sample and of several, whose answers outgrow their first places."""
    settings = {"max_new_tokens": 70, "has_ended": lambda ids: ids[-1] % 101 == 0}
    return [
        make_request("abc", model, samples=3, **settings),
        make_request("Say 1", model, samples=1, **settings),
        make_request("zz", model, samples=1, **settings, top_p=0.9),
        make_request("What?", model, samples=2, **settings),
        make_request("abcd", model, samples=1, **settings, temperature=0.0),
    ]


LEAST_TOKENS = 12 + 3 * 70
"""What the first of them needs alone."""


@pytest.mark.parametrize("tokens", [LEAST_TOKENS, 600, 5000])
def test_answers_are_the_same_in_little_memory_which_is_not_exceeded(model: LanguageModel, tokens: int) -> None:
    capacity = Capacity(rows=8, tokens=tokens, prompt_tokens=12, own_tokens=70)
    scheduler, answers = make_scheduler(model, capacity), Answers()
    for request in long_requests(model):
        scheduler.add(request)
    most, count = 0, 0
    while not scheduler.is_idle:
        collect(scheduler.step(), answers)
        most, count = max(most, scheduler.allocated_tokens), count + 1
    assert 0 < most <= tokens
    alone = make_scheduler(model, Capacity(rows=8, tokens=5000, prompt_tokens=12, own_tokens=70))
    wanted: Answers = {}
    for request in long_requests(model):
        wanted |= run(alone, [request])
    assert tokens_of(answers) == tokens_of(wanted)
    for key, events in wanted.items():
        assert [each.logprob for each in answers[key]] == pytest.approx([each.logprob for each in events], abs=1e-4)
    assert max(len(events) for events in answers.values()) > 40, "they outgrow a place"


def test_the_youngest_request_is_set_aside_and_can_be_cancelled(model: LanguageModel) -> None:
    first, second = (
        make_request(name, model, samples=2, max_new_tokens=70, has_ended=lambda _: False) for name in ("abc", "zz")
    )
    capacity = Capacity(rows=8, tokens=2 * (12 + 2 * 64), prompt_tokens=12, own_tokens=70)
    scheduler, answers = make_scheduler(model, capacity), Answers()
    scheduler.add(first)
    scheduler.add(second)
    for _ in range(66):
        collect(scheduler.step(), answers)
    lengths = {key: len(events) for key, events in answers.items()}
    assert lengths == {("abc", 0): 66, ("abc", 1): 66, ("zz", 0): 65, ("zz", 1): 65}, "zz has no larger place"
    scheduler.cancel(second.id)
    while not scheduler.is_idle:
        collect(scheduler.step(), answers)
    assert len(answers["abc", 0]) == 70
    assert len(answers["zz", 0]) == 65


@pytest.fixture
def tokens_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens were read each time."""
    counts: list[int] = []

    class CountedPrefill(Prefill):
        def __init__(self, tree: Tree) -> None:
            super().__init__(tree)
            counts.append(len(tree.token_ids))

    monkeypatch.setattr(native_scheduler, "Prefill", CountedPrefill)
    return counts


def test_no_more_is_admitted_at_a_time_than_a_part_of_the_memory(model: LanguageModel, tokens_read: list[int]) -> None:
    capacity = Capacity(rows=12, tokens=320, prompt_tokens=12, own_tokens=10)
    scheduler = NativeScheduler(OwnWeightsRunner(model), capacity, model.device, refill_share=0.9)
    prompts = {str(first): (first, *range(20, 31)) for first in range(3, 15)}
    answers: Answers = {}
    for name, token_ids in prompts.items():
        scheduler.add(
            make_request(name, model, samples=1, token_ids=token_ids, has_ended=lambda _: False, temperature=0.0)
        )
    for _ in range(4):
        collect(scheduler.step(), answers)
    assert tokens_read == [36, 36, 36, 36], "of 320 / 8, and the rest does not wait until most rows are free"
    assert {name for name, _ in answers} == set(prompts)


def test_the_first_need_not_wait_until_the_last_has_been_read(model: LanguageModel, tokens_read: list[int]) -> None:
    capacity = Capacity(rows=12, tokens=3200, prompt_tokens=40, own_tokens=10)
    scheduler = NativeScheduler(OwnWeightsRunner(model), capacity, model.device, read_tokens=24)
    lengths = {"a": 12, "b": 12, "c": 30, "d": 12}
    for first, (name, length) in enumerate(lengths.items(), start=3):
        token_ids = (first, *range(20, 20 + length - 1))
        scheduler.add(
            make_request(name, model, samples=1, token_ids=token_ids, has_ended=lambda _: False, temperature=0.0)
        )
    seen = [{event.request_id for event in scheduler.step()} for _ in range(3)]
    assert tokens_read == [24, 30, 12], "one request in any case"
    assert seen == [{"a", "b"}, {"a", "b", "c"}, {"a", "b", "c", "d"}]


def test_no_more_is_resumed_at_a_time_than_a_part_of_the_memory(
    model: LanguageModel, tokens_read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_scheduler, "AHEAD_TOKENS", 8)
    endless = {"max_new_tokens": 70, "has_ended": lambda _: False, "temperature": 0.0}
    requests = [
        # Different tokens, so that their rows stay apart.
        make_request("abc", model, samples=4, **{**endless, "temperature": 2.0}),
        make_request("zz", model, samples=1, **endless),
        make_request("What?", model, samples=1, **endless),
    ]
    capacity = Capacity(rows=8, tokens=320, prompt_tokens=12, own_tokens=70)
    answers = run(make_scheduler(model, capacity), requests)
    assert len(tokens_read) == 3, "two were set aside, and come back one after the other"
    assert all(30 < count <= 40 for count in tokens_read[1:])
    roomy = make_scheduler(model, Capacity(rows=8, tokens=5000, prompt_tokens=12, own_tokens=70))
    assert tokens_of(answers) == tokens_of(run(roomy, requests))


def test_bfloat16_answers_do_not_depend_on_their_neighbours_but_for_rounding(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path).with_compute_dtype(torch.bfloat16)
    greedy = [replace(request, temperature=0.0, top_p=1.0) for request in various(model)]
    together = run(make_scheduler(model), greedy)
    for request in greedy:
        for key, events in run(make_scheduler(model), [request]).items():
            assert together[key][0].logprob == pytest.approx(events[0].logprob, abs=0.05)
