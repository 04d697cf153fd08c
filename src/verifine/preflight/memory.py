"""The peak memory of a run, and whether the machine has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.config import RunConfig
from verifine.config.memory import (
    AvailableMemory,
    MemoryNeeds,
    MemoryPlan,
    Workload,
    peak_bytes,
    resident_bytes,
)
from verifine.insights.findings import Finding, Severity

FULL_SHARE = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """The lengths of a run's prompts and answers, in tokens."""

    longest_prompt: int
    usual_answer: float
    """The mean of those that were sampled."""
    longest_answer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """The peak memory of a run, in bytes."""

    available: AvailableMemory
    resident: Mapping[str, int]
    """The resident memory, by name."""
    step: int
    """What a step takes on top of that with answers of the usual length."""
    longest_step: int
    """The same with answers of the maximum length."""
    plan: MemoryPlan

    @property
    def usual(self) -> int:
        return sum(self.resident.values()) + self.step

    @property
    def most(self) -> int:
        return sum(self.resident.values()) + self.longest_step


def estimate_memory(
    needs: MemoryNeeds, lengths: Lengths, plan: MemoryPlan, available: AvailableMemory
) -> MemoryEstimate:
    """The memory of a run that follows `plan`."""
    usual = Workload(prompt=lengths.longest_prompt, answer=lengths.usual_answer)
    longest = Workload(prompt=lengths.longest_prompt, answer=lengths.longest_answer)
    return MemoryEstimate(
        available=available,
        resident=resident_bytes(needs, is_main=available.is_main),
        step=peak_bytes(needs, usual, plan),
        longest_step=peak_bytes(needs, longest, plan),
        plan=plan,
    )


def judge_memory(memory: MemoryEstimate, config: RunConfig) -> list[Finding]:
    """A blocker if even answers of usual length do not fit."""
    usual, most, place = describe_bytes(memory.usual), describe_bytes(memory.most), memory.available.place
    evidence = (
        f"about {usual} with answers as long as now, {most} if all are as long as allowed; available are "
        f"{describe_bytes(memory.available.size)} of {place}"
    )
    if memory.usual > memory.available.size:
        severity, what = Severity.BLOCKER, f"A step does not fit the {place} of this machine."
    elif memory.most > FULL_SHARE * memory.available.size:
        severity, what = Severity.WARNING, f"A step may not fit the {place} of this machine."
    else:
        return []
    return [
        Finding(severity=severity, name="memory", what=what, evidence=evidence, remedies=(_smaller(memory, config),))
    ]


def _smaller(memory: MemoryEstimate, config: RunConfig) -> str:
    """Changes that would take less memory, the largest saving first."""
    savings: list[tuple[int, str]] = []
    learned = memory.resident.get("gradients", 0) + memory.resident.get("AdamW", 0)
    if config.model.lora is None:
        savings.append((learned, "train adapters alone (model.lora: {})"))
    savings.append((memory.longest_step, _smaller_step(config)))
    if reference := memory.resident.get("reference"):
        savings.append((reference, "do without a copy of the model for the KL penalty (algorithm.beta: 0)"))
    if critic := memory.resident.get("critic"):
        savings.append((critic, "take a critic that is a head (algorithm.critic.kind: head)"))
    savings.append((0, "take a smaller model (model.name)"))
    ordered = ", or ".join(words for _, words in sorted(savings, key=lambda saving: saving[0], reverse=True))
    return f"{ordered[0].upper()}{ordered[1:]}."


def _smaller_step(config: RunConfig) -> str:
    sampling, tokens = config.sampling, config.optim.micro_batch_tokens
    knobs = {"sampling.max_new_tokens": sampling.max_new_tokens, "sampling.group_size": sampling.group_size}
    if tokens != "auto":
        knobs["optim.micro_batch_tokens"] = tokens
    *names, last = knobs
    *values, least = map(str, knobs.values())
    return f"lower {', '.join(names)} or {last} (now {', '.join(values)} and {least})"


def describe_bytes(size: int) -> str:
    """`3.4 GiB`, or `34 MiB` where that is less than a tenth of one."""
    return f"{size / (1 << 30):.1f} GiB" if size >= (1 << 30) // 10 else f"{size / (1 << 20):.0f} MiB"
