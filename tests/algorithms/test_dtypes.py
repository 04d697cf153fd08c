"""Every function in every floating type and on every device there is, on numbers that no type rounds much."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

from verifine import algorithms

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")),
]
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}

INPUTS: dict[str, torch.Tensor | float | int] = {
    "rewards": torch.tensor([[1.0, 0.0, 0.5, 0.0], [0.25, 1.0, 1.0, 0.0]]),
    "valid": torch.tensor([[True, True, True, False], [True, True, True, True]]),
    "truncated": torch.tensor([[False, True, False, False], [False, False, False, True]]),
    "format_ok": torch.tensor([[True, False, True, True], [True, True, False, True]]),
    "lengths": torch.tensor([[1, 4, 6, 8], [8, 2, 3, 7]]),
    "row": torch.tensor([0, 0, 1, 2, 4, 4, 4, 5]),
    "logprobs": torch.tensor([-1.0, -0.5, -2.0, -0.25, -1.5, -3.0, -0.5, -1.0]),
    "old_logprobs": torch.tensor([-1.25, -0.5, -1.0, -0.5, -1.5, -2.5, -1.0, -1.0]),
    "behaviour_logprobs": torch.tensor([-1.0, -0.75, -2.0, -0.5, -1.0, -2.5, -1.0, -3.0]),
    "reference_logprobs": torch.tensor([-1.5, -0.5, -1.0, -0.5, -1.0, -3.5, -1.0, -1.0]),
    "advantages": torch.tensor([1.0, 1.0, -0.5, 2.0, -1.0, -1.0, -1.0, 0.5]),
    "values": torch.tensor([0.5, 0.25, 1.0, 0.0, 0.5, 0.75, 0.5, 1.0]),
    "old_values": torch.tensor([0.25, 0.25, 0.5, 0.5, 0.5, 0.25, 0.5, 1.0]),
    "returns": torch.tensor([1.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]),
    "right": torch.tensor([[True, False, False, False], [False, True, True, False]]),
    "drawn_means": torch.tensor([0.5, 0.75]),
    "size": 2,
    "rights": 1,
    "wrongs": 1,
    "low": 0.25,
    "high": 0.25,
    "clip": 0.25,
    "cap": 2.0,
    "gamma": 1.0,
    "lam": 0.5,
    "max_tokens": 8,
    "buffer": 4,
    "group_size": 4,
}

FUNCTIONS = {
    name: getattr(algorithms, name) for name in algorithms.__all__ if inspect.isfunction(getattr(algorithms, name))
}


def call(function: Callable[..., Any], dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    wanted = inspect.signature(function).parameters
    given: dict[str, Any] = {}
    for name, parameter in wanted.items():
        value = dtype if name == "dtype" else INPUTS.get(name, parameter.default)
        if name == "rewards" and function.__name__ in ("gae", "returns_to_go"):
            value = INPUTS["returns"]
        if isinstance(value, torch.Tensor):
            value = value.to(device, dtype) if value.is_floating_point() else value.to(device)
        given[name] = value
    result = function(**given)
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_keeps_its_type_and_device_and_its_value(name: str, dtype: torch.dtype, device: str) -> None:
    for ours, exact in zip(
        call(FUNCTIONS[name], dtype, device), call(FUNCTIONS[name], torch.float64, "cpu"), strict=True
    ):
        assert ours.device.type == device
        assert ours.dtype == (torch.bool if exact.dtype == torch.bool else dtype)
        scale = exact.double().abs().max().item() or 1.0
        torch.testing.assert_close(
            ours.cpu().double(),
            exact.double(),
            rtol=0,
            atol=TOLERANCES[dtype] * scale,
            msg=lambda text: f"{name}: {text}",
        )
