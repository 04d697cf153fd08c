"""The settings of `verifine quickstart`: what a built-in task and five minutes on a laptop ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from verifine.models.provision.shipped import find_shipped

Sections = Mapping[str, Mapping[str, object]]
"""Settings, section by section."""

MODEL = "SmolLM2-135M-Instruct"
MINUTES = 5.0
ALGORITHM = "grpo"
WARMUP_STEPS = 40
"""With 20 of 16 prompts, or 5 of 32, one run of three was sure of a wrong rule before it had learned the right one."""
WIDE: Sections = {
    "algorithm": {"subsample": 1.0},
    "reward": {"scaling": "batch", "batch_baseline": 1.0},
    "sampling": {"prompts_per_step": 16, "group_size": 2},
    "optim": {
        "learning_rate": 1e-4,
        "warmup_steps": WARMUP_STEPS,
        "schedule": "linear",
        "betas": [0.9, 0.95],
    },
}
"""Many short steps of two answers to a prompt, compared with the step's mean; most of the prompts that are mastered are
left out of the update. Of what was tried, this learned most in five minutes (docs/results/learning.md)."""
SHIPPED_STEP: Sections = {"algorithm": {"subsample": None}, "sampling": {"prompts_per_step": 32}}
"""What differs for a model that comes with Verifine: it is so small that updates with all groups hardly take longer,
and it learned more in larger steps (docs/results/pico.md)."""
NARROW: Sections = {
    "algorithm": {"entropy_bonus": 0.02},
    "optim": {"learning_rate": 2e-5, "warmup_steps": 5},
}
"""For algorithms with a baseline of their own. Without the bonus, entropy collapses within ten steps, and most groups
have no signal."""

WIDE_LORA_RATE, NARROW_LORA_RATE = 7e-4, 2e-4
"""With adapters. At 2e-3, the first forgot within ten steps how to answer (docs/results/lora.md)."""


def usual_minutes(model: str) -> float:
    """How long a quickstart of this model takes, unless the user says."""
    shipped = find_shipped(model)
    return MINUTES if shipped is None else shipped.minutes


def quickstart_settings(
    task: str, model: str = MODEL, minutes: float = MINUTES, algorithm: str = ALGORITHM, *, lora: bool = False
) -> dict[str, dict[str, object]]:
    """The settings, section by section. An algorithm that there is not is left to the config to refuse."""
    from verifine.config.recipes import RECIPES, find_recipe_name  # not above: `--help` shows the constants

    row = RECIPES.get(find_recipe_name(algorithm))
    is_wide = row is not None and row.scaling is not None and row.group_filter is None
    chosen = WIDE if is_wide else NARROW
    shipped = find_shipped(model)
    layers: list[Sections] = [
        {"model": {"name": model, "lora": {} if lora else None}, "data": {"task": task}},
        chosen,
        {"algorithm": {"name": algorithm}, "run": {"steps": None, "minutes": minutes}},
    ]
    if shipped is not None:
        rate = shipped.lora_rate if lora else shipped.learning_rate
        layers += [
            SHIPPED_STEP if is_wide else {},
            {"optim": {"learning_rate": rate, "warmup_steps": shipped.warmup_steps}},
        ]
    elif lora:
        layers.append({"optim": {"learning_rate": WIDE_LORA_RATE if is_wide else NARROW_LORA_RATE}})
    return _merged(layers)


def _merged(layers: Iterable[Sections]) -> dict[str, dict[str, object]]:
    """What a later layer says replaces what earlier ones say."""
    merged: dict[str, dict[str, object]] = {}
    for layer in layers:
        for section, values in layer.items():
            merged[section] = {**merged.get(section, {}), **values}
    return merged
