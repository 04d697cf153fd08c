"""How much memory a run will take at its peak, and whether the machine has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.config import RunConfig
from verifine.insights.findings import Finding, Severity
from verifine.models.available import Available
from verifine.models.shape import ModelShape
from verifine.training.memory import MemoryPlan, Workload, peak_bytes, resident_bytes

FULL_SHARE = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """What is known of a run's prompts and answers, in tokens."""

    longest_prompt: int
    usual_answer: float
    """The mean of those that were sampled."""
    longest_answer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a run takes at its peak, in bytes."""

    place: str
    """`memory`, or which accelerator's."""
    available: int
    """To this process, what it holds already included."""
    lasting: Mapping[str, int]
    """What is there all the time, by what it is."""
    passing: int
    """What a step takes on top of it where answers are as long as they usually are."""
    passing_at_most: int
    """The same where they are all as long as they may be."""
    budget: MemoryPlan

    @property
    def usual(self) -> int:
        return sum(self.lasting.values()) + self.passing

    @property
    def most(self) -> int:
        return sum(self.lasting.values()) + self.passing_at_most


def estimate_memory(
    config: RunConfig, shape: ModelShape, lengths: Lengths, budget: MemoryPlan, available: Available
) -> Memory:
    """The parts of a run's memory, as it was planned."""
    usual = Workload(prompt=lengths.longest_prompt, answer=lengths.usual_answer)
    longest = Workload(prompt=lengths.longest_prompt, answer=lengths.longest_answer)
    return Memory(
        place=available.place,
        available=available.size,
        lasting=resident_bytes(config, shape, is_main=available.is_main),
        passing=peak_bytes(config, shape, usual, budget),
        passing_at_most=peak_bytes(config, shape, longest, budget),
        budget=budget,
    )


def judge_memory(memory: Memory, config: RunConfig) -> list[Finding]:
    """A blocker if even answers of usual length do not fit."""
    usual, most = describe_bytes(memory.usual), describe_bytes(memory.most)
    evidence = (
        f"about {usual} with answers as long as now, {most} if all of them are as long as they may be; there are "
        f"{describe_bytes(memory.available)} of {memory.place}"
    )
    if memory.usual > memory.available:
        severity, what = Severity.BLOCKER, f"A step does not fit the {memory.place} of this machine."
    elif memory.most > FULL_SHARE * memory.available:
        severity, what = Severity.WARNING, f"A step may not fit the {memory.place} of this machine."
    else:
        return []
    return [
        Finding(severity=severity, name="memory", what=what, evidence=evidence, remedies=(_smaller(memory, config),))
    ]


def _smaller(memory: Memory, config: RunConfig) -> str:
    """What would take less, the largest saving first."""
    savings: list[tuple[int, str]] = []
    learned = memory.lasting.get("gradients", 0) + memory.lasting.get("AdamW", 0)
    if config.model.lora is None:
        savings.append((learned, "train adapters alone (model.lora: {})"))
    savings.append((memory.passing_at_most, _smaller_step(config)))
    if reference := memory.lasting.get("reference"):
        savings.append((reference, "do without a copy of the model for the KL penalty (algorithm.beta: 0)"))
    if critic := memory.lasting.get("critic"):
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
