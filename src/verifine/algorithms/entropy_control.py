"""An entropy bonus that is as large as it has to be: it rises while the policy is too decided, and falls otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace

from verifine.config.algorithm import EntropyControlConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class EntropyState:
    """What the controller knows after some steps."""

    bonus: float = 0.0
    """The weight of the entropy in the next step's loss."""
    start_sum: float = 0.0
    """The entropies of the first steps, which the target is a share of, added up; in nats a token."""
    start_steps: int = 0

    def target(self, settings: EntropyControlConfig) -> float | None:
        """The entropy to hold, in nats a token. None: the first steps are not over."""
        if self.start_steps < settings.start_steps:
            return None
        return settings.target * self.start_sum / self.start_steps


def next_entropy_state(state: EntropyState, entropy: float | None, settings: EntropyControlConfig) -> EntropyState:
    """The state after a step whose answers had `entropy` nats a token. None: it had no answer, and nothing changes."""
    if entropy is None:
        return state
    target = state.target(settings)
    if target is None:
        return replace(state, start_sum=state.start_sum + entropy, start_steps=state.start_steps + 1)
    return replace(state, bonus=next_bonus(state.bonus, entropy, target, settings.step, settings.highest))


def next_bonus(bonus: float, entropy: float, target: float, step: float, highest: float) -> float:
    """`bonus` moved by `step` towards more entropy or less, within 0 and `highest` (Skywork-OR1, arXiv:2505.22312).

    At exactly the target it stays. It is a controller of its own and not a switch: a bonus that has come down to 0
    rises again as soon as the entropy is under the target.
    """
    if entropy == target:
        return bonus
    return min(max(bonus + (step if entropy < target else -step), 0.0), highest)
