"""Every function and every row of `verifine.algorithms` against `verifine.testing.oracle`, in both precisions."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

import verifine.algorithms
from verifine import algorithms
from verifine.algorithms.algorithm import Algorithm, build_algorithm, default_algorithm
from verifine.config import AlgorithmConfig, RewardConfig
from verifine.config.recipes import RECIPES, Scaling
from verifine.testing import oracle, oracle_batch, oracle_pools, oracle_rows
from verifine.testing.conformance import work_out
from verifine.testing.oracle_batch import NaiveRollout, random_prompts, with_forced
from verifine.testing.oracle_rows import NAIVE_ROWS, NaiveSettings, NaiveStep, default_settings

PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 5e-6)]
"""And the largest difference allowed, as a share of the largest number compared."""
MAX_TOKENS = 12
SEEDS = range(60)

Plain = float | Sequence["Plain"]


def assert_near(got: Plain, want: Plain, tolerance: float, about: str, scale: float | None = None) -> None:
    """Elementwise within `tolerance` of the scale, which is the largest wanted number unless said."""
    ours, theirs = torch.tensor(got, dtype=torch.float64), torch.tensor(want, dtype=torch.float64)
    assert ours.shape == theirs.shape, about
    if theirs.numel() == 0:
        return
    scale = float(theirs.nan_to_num().abs().max()) if scale is None else scale
    torch.testing.assert_close(
        ours, theirs, rtol=0, atol=tolerance * scale, equal_nan=True, msg=lambda text: f"{about}: {text}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The arguments of every function, by the names they have in their signatures."""

    random: Random

    def arguments(self, function: Callable[..., Any]) -> dict[str, Any]:
        random = self.random
        group_size = random.randint(2, 5)
        prompts = random_prompts(random, prompts=random.randint(1, 4), group_size=group_size, max_tokens=MAX_TOKENS)
        valid = [[rollout.valid for rollout in group] for group in prompts]
        numbered = [(i, each) for i, each in enumerate(each for group in prompts for each in group) if each.valid]
        row = [i for i, rollout in numbered for _ in rollout.logprobs]
        tokens: dict[str, Any] = {name: [random.gauss(0, 1) for _ in row] for name in ("advantages", "returns")}
        for name in ("logprobs", "old_logprobs", "behaviour_logprobs", "reference_logprobs", "values", "old_values"):
            tokens[name] = [number for _, rollout in numbered for number in asdict(rollout)[name]]
        known: dict[str, Any] = tokens | {
            "rewards": [[rollout.reward for rollout in group] for group in prompts],
            "valid": valid,
            "truncated": [[rollout.truncated for rollout in group] for group in prompts],
            "format_ok": [[rollout.format_ok for rollout in group] for group in prompts],
            "lengths": [[len(rollout.logprobs) for rollout in group] for group in prompts],
            "row": row,
            "group_size": group_size,
            "max_tokens": MAX_TOKENS,
            "right": [[random.random() < 0.4 for _ in group] for group in prompts],
            "drawn_means": [random.uniform(-1, 1) for _ in prompts],
            "size": random.randint(1, 5),
            "rights": random.randint(0, 3),
            "wrongs": random.randint(0, 3),
            "buffer": random.choice([0, 1, 5, MAX_TOKENS]),
            "gamma": random.choice([1.0, 0.9, 0.0]),
            "lam": random.choice([1.0, 0.95, 0.0]),
            "low": random.choice([0.2, 0.1]),
            "high": random.choice([0.2, 0.28]),
            "dual": random.choice([None, 3.0]),
            "clip": 0.2,
            "batch_share": random.choice([0.0, 0.3, 1.0]),
            "cap": random.choice([1.2, 2.0]),
            "epsilon": random.choice([1e-4, 1e-8]),
        }
        if function in (algorithms.gae, algorithms.returns_to_go):
            known["rewards"] = [random.gauss(0, 1) for _ in row]
        names = [name for name in inspect.signature(function).parameters if name != "dtype"]
        return {name: known[name] for name in names}


def as_tensors(arguments: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Lists become tensors: flags and counts as they are, numbers of the given type."""

    def convert(name: str, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        if name in ("valid", "truncated", "format_ok", "right"):
            return torch.tensor(value, dtype=torch.bool)
        return torch.tensor(value, dtype=torch.long if name in ("row", "lengths") else dtype)

    return {name: convert(name, value) for name, value in arguments.items()}


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "batch_scaled": (algorithms.batch_scaled, oracle.naive_batch_scaled),
    "cispo": (algorithms.cispo, oracle.naive_cispo),
    "clipped": (algorithms.clipped, oracle.naive_clipped),
    "constant_length": (algorithms.constant_length, oracle.naive_constant_length),
    "drop_truncated": (algorithms.drop_truncated, oracle.naive_drop_truncated),
    "format_gate": (algorithms.format_gate, oracle.naive_format_gate),
    "gae": (algorithms.gae, oracle.naive_gae),
    "group_centered": (algorithms.group_centered, oracle.naive_group_centered),
    "group_normalized": (algorithms.group_normalized, oracle.naive_group_normalized),
    "has_enough": (algorithms.has_enough, oracle_pools.naive_has_enough),
    "has_signal": (algorithms.has_signal, oracle.naive_has_signal),
    "k1": (algorithms.k1, oracle.naive_k1),
    "k2": (algorithms.k2, oracle.naive_k2),
    "k3": (algorithms.k3, oracle.naive_k3),
    "keep_mixed": (algorithms.keep_mixed, oracle_pools.naive_keep_mixed),
    "leave_one_out": (algorithms.leave_one_out, oracle.naive_leave_one_out),
    "on_last_token": (algorithms.on_last_token, oracle.naive_on_last_token),
    "overlong_penalty": (algorithms.overlong_penalty, oracle.naive_overlong_penalty),
    "pool_centered": (algorithms.pool_centered, oracle_pools.naive_pool_centered),
    "prompt_mean": (algorithms.prompt_mean, oracle.naive_prompt_mean),
    "rate_scales": (algorithms.rate_scales, oracle_pools.naive_rate_scales),
    "reinforce": (algorithms.reinforce, oracle.naive_reinforce),
    "returns_to_go": (algorithms.returns_to_go, oracle.naive_returns_to_go),
    "rollout_sum": (algorithms.rollout_sum, oracle.naive_rollout_sum),
    "sequence_clipped": (algorithms.sequence_clipped, oracle.naive_sequence_clipped),
    "sequence_log_ratio": (algorithms.sequence_log_ratio, oracle.naive_sequence_log_ratio),
    "sequence_mean": (algorithms.sequence_mean, oracle.naive_sequence_mean),
    "token_mean": (algorithms.token_mean, oracle.naive_token_mean),
    "truncated_importance": (algorithms.truncated_importance, oracle.naive_truncated_importance),
    "value_loss": (algorithms.value_loss, oracle.naive_value_loss),
    "whitened": (algorithms.whitened, oracle.naive_whitened),
}

GRADIENTS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "cispo": (algorithms.cispo, oracle.naive_cispo_gradient),
    "clipped": (algorithms.clipped, oracle.naive_clipped_gradient),
    "k1": (algorithms.k1, oracle.naive_k1_gradient),
    "k2": (algorithms.k2, oracle.naive_k2_gradient),
    "k3": (algorithms.k3, oracle.naive_k3_gradient),
    "reinforce": (algorithms.reinforce, lambda logprobs, advantages: oracle.naive_reinforce_gradient(advantages)),
    "sequence_clipped": (
        algorithms.sequence_clipped,
        lambda row, **rest: oracle.naive_sequence_clipped_gradient(row=row, weights=[1.0] * len(row), **rest),
    ),
    "value_loss": (algorithms.value_loss, oracle.naive_value_loss_gradient),
}


def test_every_public_function_and_every_row_is_in_the_tables() -> None:
    public = {name for name in verifine.algorithms.__all__ if inspect.isfunction(vars(verifine.algorithms)[name])}
    assert public == FUNCTIONS.keys()
    assert RECIPES.keys() == NAIVE_ROWS.keys()
    assert {name for name in vars(oracle) if name.endswith("_gradient")} == {
        f"naive_{name}_gradient" for name in GRADIENTS
    }


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_its_oracle_says(name: str, dtype: torch.dtype, tolerance: float) -> None:
    function, expected = FUNCTIONS[name]
    for seed in SEEDS:
        plain = Step(random=Random(seed)).arguments(function)
        given = as_tensors(plain, dtype)
        if "dtype" in inspect.signature(function).parameters:
            given["dtype"] = dtype
        got, want = function(**given), expected(**as_float32(plain, dtype))
        for ours, theirs in zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]:
            assert ours.dtype == (torch.bool if isinstance(first_of(theirs), bool) else dtype)
            assert_near(ours.tolist(), theirs, tolerance, f"{name}, seed {seed}")


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", GRADIENTS)
def test_autograd_says_what_the_gradient_by_hand_says(name: str, dtype: torch.dtype, tolerance: float) -> None:
    function, expected = GRADIENTS[name]
    for seed in SEEDS:
        plain = Step(random=Random(seed)).arguments(function)
        given = as_tensors(plain, dtype)
        leaf = given["values" if name == "value_loss" else "logprobs"].requires_grad_()
        (gradient,) = torch.autograd.grad(function(**given).sum(), leaf)
        assert_near(gradient.tolist(), expected(**as_float32(plain, dtype)), tolerance, f"{name}, seed {seed}")


def as_float32(arguments: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """The numbers that the tensors hold: rounding of what is given is not the functions' doing."""
    tensors = as_tensors(arguments, dtype)
    return {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in tensors.items()}


def first_of(value: Any) -> Any:
    while isinstance(value, list) and value:
        value = value[0]
    return value


def random_settings(name: str, random: Random) -> NaiveSettings:
    """The row's own settings, or everything that can be chosen drawn anew."""
    settings = default_settings(name, MAX_TOKENS)
    if random.random() < 0.2:
        return settings
    scalings: list[Scaling | None] = [None, "none", "std", "batch"]
    scaling = random.choice(scalings) if RECIPES[name].scaling is not None else None
    return replace(
        settings,
        low=random.choice([settings.low, 0.1]),
        high=random.choice([settings.high, 0.4]),
        dual=random.choice([None, 2.0]) if RECIPES[name].has_dual_clip else None,
        beta=0.0 if RECIPES[name].kl is None else random.choice([0.0, 0.3]),
        entropy_bonus=random.choice([0.0, 0.01]),
        importance_cap=random.choice([None, 2.0, 1.1]),
        overlong_share=random.choice([0.0, 0.2, 0.5, 1.0]),
        format_gate=random.random() < 0.3,
        drop_truncated=random.random() < 0.5,
        scaling=scaling,
        batch_baseline=random.choice([0.0, 0.5, 1.0]) if scaling in ("none", "batch") else 0.0,
        gamma=random.choice([1.0, 0.9]) if name == "ppo" else 1.0,
        lam=random.choice([1.0, 0.95]),
        value_clip=random.choice([0.2, 1.0]),
        value_coefficient=random.choice([0.5, 1.0]),
        reused=random.random() < 0.5,
    )


def configured(name: str, settings: NaiveSettings) -> Algorithm:
    """The row as a config with these settings has it."""
    critic = {
        "gamma": settings.gamma,
        "lam": settings.lam,
        "value_clip": settings.value_clip,
        "coefficient": settings.value_coefficient,
    }
    config = {
        "name": name,
        "clip_low": None if RECIPES[name].clip_low is None else settings.low,
        "clip_high": settings.high,
        "dual_clip": settings.dual,
        "beta": settings.beta,
        "entropy_bonus": settings.entropy_bonus,
        "importance_cap": settings.importance_cap,
        "drop_truncated": settings.drop_truncated,
        "epochs": 2 if settings.reused else 1,
        "critic": critic if RECIPES[name].has_critic else None,
    }
    reward = {
        "format_gate": settings.format_gate,
        "overlong_share": settings.overlong_share,
        "scaling": settings.scaling,
        "batch_baseline": settings.batch_baseline,
    }
    return build_algorithm(AlgorithmConfig.model_validate(config), RewardConfig.model_validate(reward))


def random_step(seed: int) -> list[list[NaiveRollout]]:
    random = Random(seed)
    return random_prompts(random, prompts=random.randint(1, 5), group_size=random.randint(2, 6), max_tokens=MAX_TOKENS)


def assert_answers_agree(got: NaiveStep, want: NaiveStep, tolerance: float, about: str) -> None:
    assert (got.kept_prompts, got.row, got.valid) == (want.kept_prompts, want.row, want.valid), about
    assert (got.returns is None, got.value_gradient is None) == (want.returns is None, want.value_gradient is None)
    assert_near(got.shaped_rewards, want.shaped_rewards, tolerance, f"shaped rewards, {about}")
    assert_near(got.advantages, want.advantages, tolerance, f"advantages, {about}")
    assert_near(got.returns or [], want.returns or [], tolerance, f"returns, {about}")
    assert_near(got.terms, want.terms, tolerance, f"terms, {about}")
    assert_near(got.weights, want.weights, tolerance, f"weights, {about}")
    assert_near(got.gradient, want.gradient, tolerance, f"gradient, {about}")
    assert_near(got.entropy_gradient, want.entropy_gradient, tolerance, f"entropy gradient, {about}")
    assert_near(got.value_gradient or [], want.value_gradient or [], tolerance, f"value gradient, {about}")
    # The sum may cancel; each of its terms has an error of its own size.
    size = math.fsum(abs(weight * term) for weight, term in zip(want.weights, want.terms, strict=True))
    assert_near(got.loss, want.loss, tolerance, f"loss, {about}", scale=size)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", NAIVE_ROWS)
def test_a_row_as_it_stands_says_what_its_oracle_says(name: str, dtype: torch.dtype, tolerance: float) -> None:
    for seed in SEEDS:
        prompts = random_step(seed)
        got = work_out(default_algorithm(name), prompts, MAX_TOKENS, dtype)
        want = NAIVE_ROWS[name](prompts, default_settings(name, MAX_TOKENS))
        assert_answers_agree(got, want, tolerance, f"{name}, seed {seed}")


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", NAIVE_ROWS)
def test_a_row_learns_nothing_of_forced_tokens_as_its_oracle_says(
    name: str, dtype: torch.dtype, tolerance: float
) -> None:
    for seed in SEEDS:
        prompts, settings = with_forced(Random(seed), random_step(seed)), random_settings(name, Random(seed))
        got = work_out(configured(name, settings), prompts, MAX_TOKENS, dtype)
        want = NAIVE_ROWS[name](prompts, settings)
        assert_answers_agree(got, want, tolerance, f"{name}, seed {seed}, {settings}")


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", NAIVE_ROWS)
def test_a_row_with_any_settings_says_what_its_oracle_says(name: str, dtype: torch.dtype, tolerance: float) -> None:
    for seed in SEEDS:
        prompts, settings = random_step(seed), random_settings(name, Random(seed))
        got = work_out(configured(name, settings), prompts, MAX_TOKENS, dtype)
        want = NAIVE_ROWS[name](prompts, settings)
        assert_answers_agree(got, want, tolerance, f"{name}, seed {seed}, {settings}")


def test_the_random_steps_reach_what_they_are_for() -> None:
    steps = [random_step(seed) for seed in SEEDS]
    groups = [group for step in steps for group in step]
    rollouts = [rollout for group in groups for rollout in group if rollout.valid]
    ratios = [
        math.exp(new - old)
        for rollout in rollouts
        for new, old in zip(rollout.logprobs, rollout.old_logprobs, strict=True)
    ]
    corrections = [
        math.exp(old - behaviour)
        for rollout in rollouts
        for old, behaviour in zip(rollout.old_logprobs, rollout.behaviour_logprobs, strict=True)
    ]
    assert any(not any(rollout.valid for rollout in group) for group in groups)
    assert any(sum(rollout.valid for rollout in group) == 1 for group in groups)
    assert any(len({rollout.reward for rollout in group}) == 1 and group[0].valid for group in groups)
    assert any(not any(rollout.valid for group in step for rollout in group) for step in steps)
    assert {1, MAX_TOKENS} <= {len(rollout.logprobs) for rollout in rollouts}
    assert any(rollout.truncated for rollout in rollouts)
    assert min(ratios) < 0.1
    assert max(ratios) > 6
    assert 1.0 in ratios
    assert max(corrections) > 2


@pytest.mark.parametrize("module", [oracle, oracle_batch, oracle_pools, oracle_rows])
def test_the_oracle_knows_nothing_of_tensors(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} | {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    assert not {name for name in imported if name and name.startswith(("torch", "numpy", "verifine.algorithms"))}


def test_kl_is_refused_where_the_row_has_none() -> None:
    with pytest.raises(ValueError, match="no KL"):
        oracle_rows.naive_dapo_step(random_step(0), NaiveSettings(max_tokens=MAX_TOKENS, beta=0.1))
