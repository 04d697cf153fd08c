"""What the machine could not give."""

from __future__ import annotations

from verifine.runs.diagnosis.finding import Finding, Severity, Topic
from verifine.runs.diagnosis.story import Story


def judge_memory(story: Story) -> Finding | None:
    """What was too large was done again in smaller parts: nothing is lost but time."""
    shortages = max(story.recent.values("memory/shortages"), default=0.0)
    if not shortages:
        return None
    sizes = story.recent.values("memory/micro_batch_tokens")
    way_out = f"Set optim.micro_batch_tokens to {sizes[-1]:.0f}, with which it went on." if sizes else ""
    times = "once" if shortages == 1 else f"{shortages:.0f} times"
    return Finding(
        topic=Topic.MEMORY_SHORTAGES,
        severity=Severity.NOTE,
        found=f"Memory ran out {times}; what was too large was done again in smaller parts.",
        evidence={"memory/shortages": shortages, **({"memory/micro_batch_tokens": sizes[-1]} if sizes else {})},
        steps=story.recent.span,
        changes=(*((way_out,) if way_out else ()), "Or lower sampling.max_new_tokens or sampling.group_size."),
    )


RULES = (judge_memory,)
