from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from verifine.models.load import LanguageModel, Weights
from verifine.models.network.quantized import QuantizedCopy, int8_is_exact
from verifine.models.network.vocabulary import Vocabulary
from verifine.rollout.engine import RolloutEngine
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import ScriptedEngine, load_tiny_model
from verifine.testing.engine_conformance import (
    ANSWER_CHECKS,
    ENGINE_CHECKS,
    EngineCase,
    EngineCheck,
    check_a_prompt_with_an_unknown_id_is_refused,
    check_a_stop_text_in_the_prompt_does_not_count,
    check_a_stop_text_may_end_within_a_token,
    check_an_answer_does_not_depend_on_the_batch,
    check_groups_come_in_the_order_of_the_prompts,
    check_log_probabilities_are_those_of_what_was_sampled,
    check_new_weights_give_other_answers,
    check_only_ids_with_a_token_are_sampled,
    check_rollouts_carry_the_version_of_their_weights,
    check_samples_are_asked_for_by_their_numbers,
    check_the_fingerprint_is_that_of_the_loaded_weights,
)
from verifine.types import Group, Prompt, Rollout, Sampling

SAMPLING = Sampling(group_size=4, max_new_tokens=12, seed=3, step=5)
WORDS, PADDING = [f"{first}{second}" for first in "<aeiou" for second in "></nrs"], 29
"""Tokens of two characters, and rows of the vocabulary without a token."""

Make = Callable[[LanguageModel], RolloutEngine]

NATIVE: dict[str, Make] = {
    "float32": NativeEngine,
    "fixed shapes": lambda model: NativeEngine(model, is_static=True),
    "int8": lambda model: NativeEngine(model, quantized=QuantizedCopy(model.network, model.vocabulary, head=True)),
}
MARKS = {"int8": pytest.mark.skipif(not int8_is_exact(), reason="this processor adds int8 products in 16 bits")}


def name_of(check: EngineCheck) -> str:
    return check.__name__.removeprefix("check_")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("model"), words=WORDS, padding=PADDING)


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return dict(
        load_tiny_model(tmp_path_factory.mktemp("other"), seed=1, words=WORDS, padding=PADDING).network.state_dict()
    )


def make_case(make: Make, model: LanguageModel, other_weights: Weights) -> EngineCase:
    """Every engine has a copy of the model, since new weights are loaded into it."""
    prompts = [
        Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={})
        for text in ("abc", "abd?", "zz", "Largest of 31, 4, 77")
    ]
    return EngineCase(
        make=lambda: make(model.copy()),
        tokenizer=model.tokenizer,
        prompts=prompts,
        sampling=SAMPLING,
        other_weights=other_weights,
    )


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in NATIVE])
@pytest.mark.parametrize("check", ENGINE_CHECKS, ids=name_of)
def test_the_native_engine_is_a_rollout_engine(
    check: EngineCheck, name: str, model: LanguageModel, other_weights: Weights
) -> None:
    check(make_case(NATIVE[name], model, other_weights))


@pytest.mark.parametrize("check", ANSWER_CHECKS, ids=name_of)
def test_the_scripted_engine_answers_as_an_engine_does(
    check: EngineCheck, model: LanguageModel, other_weights: Weights
) -> None:
    check(make_case(lambda _: ScriptedEngine(lambda prompt, sample: f"{prompt.id} {sample}"), model, other_weights))


def test_an_engine_that_ignores_new_weights_is_found_out(model: LanguageModel, other_weights: Weights) -> None:
    class Stale(NativeEngine):
        def load_weights(self, weights: Weights, version: int) -> None: ...

    case = make_case(Stale, model, other_weights)
    assert not fails(check_groups_come_in_the_order_of_the_prompts, case)
    assert fails(check_rollouts_carry_the_version_of_their_weights, case)
    assert fails(check_the_fingerprint_is_that_of_the_loaded_weights, case)
    assert fails(check_new_weights_give_other_answers, case)


def test_an_engine_that_samples_padding_is_found_out(model: LanguageModel, other_weights: Weights) -> None:
    every_row = Vocabulary(size=len(model.head.weight))
    case = make_case(lambda model: NativeEngine(replace(model, vocabulary=every_row)), model, other_weights)
    assert not fails(check_log_probabilities_are_those_of_what_was_sampled, case)
    assert fails(check_only_ids_with_a_token_are_sampled, case)
    assert fails(check_a_prompt_with_an_unknown_id_is_refused, case)


def test_an_engine_that_counts_samples_anew_in_each_call_is_found_out(
    model: LanguageModel, other_weights: Weights
) -> None:
    class Forgetful(NativeEngine):
        def generate(
            self, prompts: Sequence[Prompt], sampling: Sampling, samples: Sequence[range] | None = None
        ) -> list[Group]:
            anew = None if samples is None else [range(len(numbers)) for numbers in samples]
            return super().generate(prompts, sampling, anew)

    case = make_case(Forgetful, model, other_weights)
    assert not fails(check_an_answer_does_not_depend_on_the_batch, case)
    assert fails(check_samples_are_asked_for_by_their_numbers, case)


def test_an_engine_that_shows_the_rest_of_a_token_is_found_out(model: LanguageModel, other_weights: Weights) -> None:
    class Untrimmed(NativeEngine):
        def generate(
            self, prompts: Sequence[Prompt], sampling: Sampling, samples: Sequence[range] | None = None
        ) -> list[Group]:
            return [
                replace(group, rollouts=tuple(self._whole(rollout) for rollout in group.rollouts))
                for group in super().generate(prompts, sampling, samples)
            ]

        def _whole(self, rollout: Rollout) -> Rollout:
            return replace(rollout, text=model.tokenizer.decode(rollout.token_ids, skip_special_tokens=True))

    case = make_case(Untrimmed, model, other_weights)
    assert not fails(check_a_stop_text_in_the_prompt_does_not_count, case)
    assert fails(check_a_stop_text_may_end_within_a_token, case)


def test_an_engine_that_looks_for_stop_texts_in_the_prompt_is_found_out(
    model: LanguageModel, other_weights: Weights
) -> None:
    class Reader(NativeEngine):
        def generate(
            self, prompts: Sequence[Prompt], sampling: Sampling, samples: Sequence[range] | None = None
        ) -> list[Group]:
            return [
                replace(group, rollouts=tuple(self._cut(rollout, sampling) for rollout in group.rollouts))
                for group in super().generate(prompts, sampling, samples)
            ]

        def _cut(self, rollout: Rollout, sampling: Sampling) -> Rollout:
            everything = model.tokenizer.decode((*rollout.prompt.token_ids, rollout.token_ids[0]))
            return replace(rollout, text="") if any(stop in everything for stop in sampling.stop) else rollout

    case = make_case(Reader, model, other_weights)
    assert fails(check_a_stop_text_in_the_prompt_does_not_count, case)


def fails(check: EngineCheck, case: EngineCase) -> bool:
    try:
        check(case)
    except AssertionError:
        return True
    return False
