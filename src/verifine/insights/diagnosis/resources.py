"""Shortages of the machine's memory."""

from __future__ import annotations

from verifine.insights.diagnosis.history import RunHistory
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity


def judge_shortages(history: RunHistory) -> Finding | None:
    """Work that did not fit was repeated in smaller parts, which only costs time."""
    oom_counter = max(history.recent.values("memory/shortages"), default=0.0)
    if not oom_counter:
        return None
    sizes = history.recent.values("memory/micro_batch_tokens")
    hint = f"Set optim.micro_batch_tokens to {sizes[-1]:.0f}, which then worked." if sizes else ""
    times = "once" if oom_counter == 1 else f"{oom_counter:.0f} times"
    return Finding(
        name=Topic.MEMORY_SHORTAGES,
        severity=Severity.NOTE,
        what=f"Memory ran out {times}; the work that did not fit was repeated in smaller parts.",
        numbers={"memory/shortages": oom_counter, **({"memory/micro_batch_tokens": sizes[-1]} if sizes else {})},
        steps=history.recent.span,
        remedies=(*((hint,) if hint else ()), "Or lower sampling.max_new_tokens or sampling.group_size."),
    )


RULES = (judge_shortages,)
