from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from verifine.models.kernels import describe_kernels
from verifine.models.network.trunk import TransformersTrunk
from verifine.testing import load_tiny_model


def test_what_rounding_depends_on_is_named(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    found = describe_kernels(model)
    assert found.keys() == {"products", "pass", "engine", "device", "threads"}
    assert (found["products"], found["pass"]) == ("float32", "own")
    other = replace(model, trunk=TransformersTrunk(model.network, torch.bfloat16))
    changed = describe_kernels(other)
    assert (changed["products"], changed["pass"]) == ("bfloat16", "transformers")
    assert {changed[name] == found[name] for name in ("device", "threads")} == {True}
