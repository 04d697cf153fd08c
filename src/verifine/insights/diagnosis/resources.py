"""What the machine could not give."""

from __future__ import annotations

from verifine.insights.diagnosis.finding import Finding, Severity, Topic
from verifine.insights.diagnosis.story import Story


def judge_memory(story: Story) -> Finding | None:
    """What was too large was done again in smaller parts: nothing is lost but time."""
    oom_counter = max(story.recent.values("memory/shortages"), default=0.0)
    if not oom_counter:
        return None
    sizes = story.recent.values("memory/micro_batch_tokens")
    way_out = f"Set optim.micro_batch_tokens to {sizes[-1]:.0f}, with which it went on." if sizes else ""
    times = "once" if oom_counter == 1 else f"{oom_counter:.0f} times"
    return Finding(
        topic=Topic.MEMORY_SHORTAGES,
        severity=Severity.NOTE,
        found=f"Memory ran out {times}; what was too large was done again in smaller parts.",
        evidence={"memory/shortages": oom_counter, **({"memory/micro_batch_tokens": sizes[-1]} if sizes else {})},
        steps=story.recent.span,
        changes=(*((way_out,) if way_out else ()), "Or lower sampling.max_new_tokens or sampling.group_size."),
    )


RULES = (judge_memory,)
