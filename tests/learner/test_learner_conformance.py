from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from verifine.algorithms.algorithm import default_algorithm
from verifine.learner.local import LocalLearner
from verifine.testing import FakeLearner, load_tiny_model
from verifine.testing.learner_conformance import (
    LEARNER_CHECKS,
    LearnerCase,
    LearnerCheck,
    check_estimates_change_nothing,
)
from verifine.testing.training_batches import SETTINGS, make_learner, sample_groups


@pytest.mark.parametrize("name", ["grpo", "ppo"])
@pytest.mark.parametrize("check", LEARNER_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_local_learner_is_a_learner(check: LearnerCheck, name: str, tmp_path: Path) -> None:
    algorithm = default_algorithm(name)

    def make(tokens: int) -> LocalLearner:
        settings = replace(SETTINGS, micro_batch_tokens=tokens)
        return make_learner(load_tiny_model(tmp_path), settings, algorithm)

    check(LearnerCase(make=make, groups=sample_groups(load_tiny_model(tmp_path)), algorithm=algorithm))


def test_the_fake_learner_estimates_without_changing_anything(tmp_path: Path) -> None:
    groups = sample_groups(load_tiny_model(tmp_path))
    algorithm = default_algorithm("grpo")
    check_estimates_change_nothing(LearnerCase(make=lambda _: FakeLearner(), groups=groups, algorithm=algorithm))
