from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from verifine.models.load import LanguageModel, Weights
from verifine.models.network.quantized import QuantizedCopy, int8_is_exact
from verifine.rollout.engine import RolloutEngine
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import ScriptedEngine, load_tiny_model
from verifine.testing.engine_conformance import (
    ANSWER_CHECKS,
    ENGINE_CHECKS,
    EngineCase,
    EngineCheck,
    check_groups_come_in_the_order_of_the_prompts,
    check_new_weights_give_other_answers,
    check_rollouts_carry_the_version_of_their_weights,
    check_the_fingerprint_is_that_of_the_loaded_weights,
)
from verifine.types import Prompt, Sampling

SAMPLING = Sampling(group_size=4, max_new_tokens=12, seed=3, step=5)

Make = Callable[[LanguageModel], RolloutEngine]

NATIVE: dict[str, Make] = {
    "float32": NativeEngine,
    "fixed shapes": lambda model: NativeEngine(model, is_static=True),
    "int8": lambda model: NativeEngine(model, quantized=QuantizedCopy(model.network, head=True)),
}
MARKS = {"int8": pytest.mark.skipif(not int8_is_exact(), reason="this processor adds int8 products in 16 bits")}


def name_of(check: EngineCheck) -> str:
    return check.__name__.removeprefix("check_")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return dict(load_tiny_model(tmp_path_factory.mktemp("other"), seed=1).network.state_dict())


def make_case(make: Make, model: LanguageModel, other_weights: Weights) -> EngineCase:
    """Every engine has a copy of the model, since new weights are loaded into it."""
    prompts = [
        Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={})
        for text in ("abc", "abd?", "zz", "Largest of 31, 4, 77")
    ]
    return EngineCase(
        make=lambda: make(replace(model, network=copy.deepcopy(model.network))),
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


def fails(check: EngineCheck, case: EngineCase) -> bool:
    try:
        check(case)
    except AssertionError:
        return True
    return False
