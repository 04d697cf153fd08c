from __future__ import annotations

from pathlib import Path

import pytest
import torch

from verifine.algorithms.algorithm import default_algorithm
from verifine.learner.learner import UpdateOutcome
from verifine.models.fingerprint import NUMBERS, take_fingerprint
from verifine.models.network.lora import attach_lora
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model
from verifine.testing.training_batches import make_learner, make_training_batch, sample_groups


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_update_changes_the_fingerprint_of_every_matrix_and_a_copy_has_the_same(
    architecture: Architecture, tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path, architecture)
    learner = make_learner(model)
    before = take_fingerprint(learner.weights())
    assert learner.update(
        make_training_batch(learner, sample_groups(model)), default_algorithm("grpo").loss
    ).outcome is (UpdateOutcome.APPLIED)
    after = take_fingerprint(learner.weights())
    matrices = {name for name, tensor in learner.weights().items() if tensor.dim() > 1}
    assert matrices <= set(after.differing(before))
    copied = {name: tensor.detach().clone() for name, tensor in learner.weights().items()}
    assert take_fingerprint(copied) == after


def test_only_adapters_change_with_lora_and_a_model_without_them_misses_them(tmp_path: Path) -> None:
    plain = take_fingerprint(load_tiny_model(tmp_path / "plain").network.state_dict())
    model = attach_lora(load_tiny_model(tmp_path / "lora"), 4, 8, "all-linear", seed=0)
    learner = make_learner(model)
    before = take_fingerprint(learner.weights())
    learner.update(make_training_batch(learner, sample_groups(model)), default_algorithm("grpo").loss)
    changed = take_fingerprint(learner.weights()).differing(before)
    assert changed
    assert all(".lora_" in name for name in changed)
    assert set(changed) <= set(before.missing(plain))


def test_place_shape_and_name_of_a_tensor_are_part_of_it() -> None:
    weights = {"a": torch.arange(12.0).view(3, 4), "b": torch.zeros(2)}
    own = take_fingerprint(weights)
    assert take_fingerprint({"b": weights["b"], "a": weights["a"]}).differing(own) == ()
    assert take_fingerprint({**weights, "a": weights["a"].view(4, 3)}).differing(own) == ("a",)
    assert take_fingerprint({"a": weights["a"]}).differing(own) == ()
    assert (
        own.differing(take_fingerprint({"a": weights["a"]}))
        == own.missing(take_fingerprint({"a": weights["a"]}))
        == ("b",)
    )
    assert take_fingerprint({}).differing(own) == ()


@pytest.mark.parametrize("shape", [(), (1,), (7, 5), (64, 64), (96, 64), (160, 64)])
def test_the_numbers_looked_at_are_spread_over_rows_and_columns(shape: tuple[int, ...]) -> None:
    tensor = torch.zeros(shape)
    own = take_fingerprint({"a": tensor})
    seen = torch.zeros(shape)
    for place in range(tensor.numel()):
        tensor.view(-1)[place] = 1
        seen.view(-1)[place] = float(take_fingerprint({"a": tensor}) != own)
        tensor.view(-1)[place] = 0
    assert seen.sum() == min(tensor.numel(), NUMBERS) or (tensor.numel() < 2 * NUMBERS and seen.sum() > NUMBERS / 2)
    if tensor.numel() >= NUMBERS**2:
        assert (seen.sum(dim=0) > 0).sum() >= NUMBERS / 2, "most of them are in columns of their own"
        assert (seen.sum(dim=1) > 0).sum() >= NUMBERS / 2
