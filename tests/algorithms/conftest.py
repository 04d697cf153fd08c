"""Stand-ins for TRL's trainers: the settings their methods read, and given numbers where they would ask a model.

Nothing of TRL is written down here a second time; the attributes are those that its methods read at version 1.16.0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from verifine.testing.conformance import Exercise, Padded
from verifine.testing.oracle_batch import NaiveRollout


@pytest.fixture
def trl_loss() -> Callable[..., Tensor]:
    """`_compute_loss(trainer, exercise, settings, inputs)`, with TRL's defaults unless said otherwise."""
    return _trl_loss


@pytest.fixture
def trl_generated() -> Callable[..., dict[str, Tensor]]:
    """`_generate_and_score_completions(trainer, prompts, **settings)`, told what was generated and what it scored."""
    return _trl_generated


def _accelerator(processes: int) -> SimpleNamespace:
    """One process, though it may be told that there are others."""
    return SimpleNamespace(
        device=torch.device("cpu"),
        num_processes=processes,
        process_index=0,
        sync_gradients=True,
        gather=lambda tensor: tensor,
        reduce=lambda tensor, reduction: tensor,
    )


LOSS_SETTINGS: dict[str, Any] = {
    "model": SimpleNamespace(training=True),
    "importance_sampling_level": "token",
    "epsilon_low": 0.2,
    "epsilon_high": 0.2,
    "beta": 0.0,
    "aux_loss_enabled": False,
    "top_entropy_quantile": 1.0,
    "off_policy_mask_threshold": None,
    "use_vllm": False,
    "vllm_importance_sampling_correction": True,
    "current_gradient_accumulation_steps": 1,
    "use_adaptive_entropy": False,
    "entropy_coef": 0.0,
}


def _trl_loss(
    trainer: Any, exercise: Exercise, settings: dict[str, Any], inputs: dict[str, Tensor] | None = None
) -> Tensor:
    padded = Padded.of(exercise.batch.row)
    logprobs, entropies = padded.pad(exercise.logprobs), padded.pad(exercise.entropies.detach())
    args = {"use_bias_correction_kl": False, "delta": None, "steps_per_generation": 1} | settings.get("args", {})
    own = {
        "args": SimpleNamespace(**args),
        "accelerator": _accelerator(settings.get("processes", 1)),
        "max_completion_length": exercise.batch.max_tokens,
        "_get_per_token_logps_and_entropies": lambda *_, **__: (logprobs, entropies, None),
        "_entropy_bonus_enabled": bool(settings.get("entropy_coef")),
        "_metrics": {"train": defaultdict(list)},
    }
    old, reference = exercise.estimates.old_logprobs, exercise.estimates.reference_logprobs
    assert old is not None
    prompt = torch.zeros(len(padded.mask), 1, dtype=torch.long)
    given = {
        "prompt_ids": prompt,
        "prompt_mask": prompt + 1,
        "completion_ids": padded.mask,
        "completion_mask": padded.mask,
        "advantages": padded.first(exercise.advantages.advantages),
        "num_items_in_batch": padded.mask.sum(),
        "old_per_token_logps": padded.pad(old),
        "old_logps": (padded.pad(old) * padded.mask).sum(1),
        "ref_per_token_logps": None if reference is None else padded.pad(reference),
    }
    stand_in = SimpleNamespace(**(LOSS_SETTINGS | settings | own))
    loss: Tensor = trainer._compute_loss(stand_in, None, given | (inputs or {}))
    return loss


GENERATION_SETTINGS: dict[str, Any] = {
    "_tokenizer": SimpleNamespace(pad_token_id=0),
    "pad_to_multiple_of": None,
    "environment_factories": None,
    "environments": None,
    "tools": [],
    "mask_truncated_completions": False,
    "num_iterations": 1,
    "use_vllm": False,
    "vllm_importance_sampling_correction": True,
    "vllm_importance_sampling_mode": "token_truncate",
    "vllm_importance_sampling_clip_min": None,
    "beta": 0.0,
    "reward_weights": torch.ones(1),
    "reward_clip_range": None,
    "reward_func_names": ["score"],
    "normalize_advantages": False,
    "multi_objective_aggregation": "sum_then_normalize",
    "scale_rewards": "group",
    "log_multimodal": False,
}


def _trl_generated(trainer: Any, prompts: list[list[NaiveRollout]], **settings: Any) -> dict[str, Tensor]:
    rollouts = [rollout for group in prompts for rollout in group]
    count = len(rollouts)
    ids = [[7] * len(rollout.logprobs) for rollout in rollouts]
    padded = Padded.of(torch.tensor([i for i, each in enumerate(ids) for _ in each]))

    def lay(numbers: Callable[[NaiveRollout], tuple[float, ...] | None]) -> Tensor:
        flat = [number for rollout in rollouts for number in numbers(rollout) or ()]
        return padded.pad(torch.tensor(flat, dtype=torch.float64))

    policy, reference = SimpleNamespace(training=True, is_gradient_checkpointing=False), object()
    estimates = {
        id(policy): lay(lambda rollout: rollout.old_logprobs),
        id(reference): lay(lambda rollout: rollout.reference_logprobs),
    }
    prompt_ids, texts = [[1]] * count, ["text"] * count
    behaviour = [list(rollout.behaviour_logprobs) for rollout in rollouts]
    answers: tuple[Any, ...] = {
        "GRPOTrainer": (prompt_ids, ids, None, texts, behaviour, {}, None, None),
        "RLOOTrainer": (prompt_ids, ids, texts),
    }[trainer.__name__]
    scores = torch.tensor([[rollout.reward] for rollout in rollouts], dtype=torch.float64)
    own: dict[str, Any] = {
        "accelerator": _accelerator(1),
        "model": policy,
        "ref_model": reference,
        "num_generations": len(prompts[0]),
        "args": SimpleNamespace(
            per_device_train_batch_size=count,
            steps_per_generation=1,
            gradient_accumulation_steps=1,
            gradient_checkpointing_kwargs=None,
        ),
        "_generate": lambda _: answers,
        "_calculate_rewards": lambda *_: scores,
        "_get_per_token_logps_and_entropies": lambda model, *_, **__: (estimates[id(model)], None, None),
        "_metrics": {"train": defaultdict(list)},
        "_logs": defaultdict(list, {"rewards": defaultdict(list), "extra": defaultdict(list)}),
        "_pending_extra_logs": {},
        "_pending_metrics": {},
    }
    stand_in = SimpleNamespace(**(GENERATION_SETTINGS | settings | own))
    output: dict[str, Tensor] = trainer._generate_and_score_completions(stand_in, [{"prompt": "text"}] * count)
    return output
