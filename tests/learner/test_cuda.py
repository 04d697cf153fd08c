"""The learner on a GPU, where there is one: the same update as on the CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.algorithms.algorithm import default_algorithm
from verifine.config.recipes import RECIPES
from verifine.learner.learner import LearnerState, UpdateOutcome
from verifine.models.load import LanguageModel
from verifine.testing import load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_learner, make_training_batch, sample_groups

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


def on(device: str, folder: Path) -> LanguageModel:
    model = load_tiny_model(folder)
    model.network.to(device)
    return model


@pytest.mark.parametrize("name", RECIPES)
def test_an_update_on_a_gpu_is_that_on_the_cpu_and_can_be_gone_on_from(name: str, tmp_path: Path) -> None:
    algorithm = default_algorithm(name)
    groups = sample_groups(on("cpu", tmp_path))
    ends = []
    for device in ("cpu", "cuda"):
        model = on(device, tmp_path)
        learner = make_learner(model, replace(SETTINGS, learning_rate=1e-4), algorithm)
        assert (
            learner.update(make_training_batch(learner, groups, algorithm), algorithm.loss).outcome
            is UpdateOutcome.APPLIED
        )
        saved = learner.state()
        on_disk = LearnerState(tensors={key: each.cpu() for key, each in saved.tensors.items()}, updates=saved.updates)
        learner.restore(on_disk)
        assert (
            learner.update(make_training_batch(learner, groups, algorithm), algorithm.loss).outcome
            is UpdateOutcome.APPLIED
        )
        ends.append(torch.cat([tensor.flatten().cpu() for tensor in model.network.state_dict().values()]))
    assert ((ends[0] - ends[1]).norm() / ends[0].norm()).item() < 1e-4
