from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from verifine.algorithms.algorithm import default_algorithm
from verifine.learner.local import LocalLearner
from verifine.models.network.vocabulary import Vocabulary
from verifine.testing import FakeLearner, load_tiny_model
from verifine.testing.learner_conformance import (
    LEARNER_CHECKS,
    LearnerCase,
    LearnerCheck,
    check_an_answer_with_an_unknown_id_is_refused,
    check_estimates_change_nothing,
    check_log_probabilities_are_those_of_sampling,
)
from verifine.testing.training_batches import SETTINGS, make_learner, sample_groups


@pytest.mark.parametrize("name", ["grpo", "ppo"])
@pytest.mark.parametrize("check", LEARNER_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_local_learner_is_a_learner(check: LearnerCheck, name: str, tmp_path: Path) -> None:
    algorithm, model = default_algorithm(name), load_tiny_model(tmp_path, padding=29)

    def make(tokens: int) -> LocalLearner:
        settings = replace(SETTINGS, micro_batch_tokens=tokens)
        return make_learner(load_tiny_model(tmp_path, padding=29), settings, algorithm)

    check(LearnerCase(make=make, tokenizer=model.tokenizer, groups=sample_groups(model), algorithm=algorithm))


def test_a_learner_of_rows_without_a_token_is_found_out(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, padding=29)

    def make(tokens: int) -> LocalLearner:
        every_row = Vocabulary(size=len(model.head.weight))
        return make_learner(replace(model, vocabulary=every_row))

    case = LearnerCase(
        make=make, tokenizer=model.tokenizer, groups=sample_groups(model), algorithm=default_algorithm("grpo")
    )
    for check in (check_log_probabilities_are_those_of_sampling, check_an_answer_with_an_unknown_id_is_refused):
        with pytest.raises(AssertionError):
            check(case)


def test_the_fake_learner_estimates_without_changing_anything(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    check_estimates_change_nothing(
        LearnerCase(
            make=lambda _: FakeLearner(),
            tokenizer=model.tokenizer,
            groups=sample_groups(model),
            algorithm=default_algorithm("grpo"),
        )
    )
