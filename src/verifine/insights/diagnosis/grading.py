"""Does the grader do its work, and in what time?"""

from __future__ import annotations

from verifine.insights.diagnosis.finding import Finding, Severity, Topic
from verifine.insights.diagnosis.story import ENOUGH, Story, Stretch
from verifine.insights.diagnosis.suggesting import read_answers

ANSWERS = 100
"""Fewer answers than this say nothing of a share of a few percent."""
FAILING = 0.02
"""Share of answers that cannot be scored from which the grader, and not an odd answer, is at fault."""
ENDING = 0.05
"""A run ends when more than this share cannot be scored."""
SLOW = 0.02
"""Share of answers whose grading took too long."""
FAULTY = 0.1
"""Share of answers that get 0 because they lack what the grader reads."""
WAITING = 0.5
"""Share of a step's time from which grading is most of it."""


def judge_unscorable(story: Story) -> Finding | None:
    answers = _answers(story)
    unscorable = sum(story.recent.values("unscorable"))
    if answers < ANSWERS or unscorable < FAILING * answers:
        return None
    share = unscorable / answers
    return Finding(
        topic=Topic.UNSCORABLE_ANSWERS,
        severity=Severity.PROBLEM if share > ENDING else Severity.WARNING,
        found=f"The grader could not score {share:.1%} of the answers; they teach nothing, and a run ends when it is "
        f"more than {ENDING:.0%}.",
        evidence={"share_unscorable": share, **_rates(story.recent)},
        steps=story.recent.span,
        changes=(
            "Mend the grader: the field `reason` in rollouts/ says what went wrong with each answer.",
            "Try it alone: `verifine grade run` grades one answer.",
        ),
    )


def judge_timeouts(story: Story) -> Finding | None:
    rate = story.recent.mean("grader/timeout_rate")
    if rate is None or _answers(story) < ANSWERS or rate < SLOW:
        return None
    return Finding(
        topic=Topic.GRADER_TIMEOUTS,
        severity=Severity.WARNING,
        found=f"Grading took too long for {rate:.1%} of the answers; these could not be scored, or scored 0.",
        evidence=_rates(story.recent),
        steps=story.recent.span,
        changes=_faster(story),
    )


def judge_faults(story: Story) -> Finding | None:
    """What is left when time-outs and unscorable answers are taken away: answers scored 0 for their form."""
    rate, answers = story.recent.mean("grader/error_rate"), _answers(story)
    if rate is None or answers < ANSWERS:
        return None
    others = rate - max(sum(story.recent.values("unscorable")) / answers, story.recent.mean("grader/timeout_rate") or 0)
    if others < FAULTY:
        return None
    return Finding(
        topic=Topic.GRADER_FAULTS,
        severity=Severity.WARNING,
        found=f"{others:.0%} of the answers scored 0 because the grader could not read them: they lack what it wants, "
        "such as JSON.",
        evidence=_rates(story.recent),
        steps=story.recent.span,
        changes=(
            read_answers("some answers with their `reason`"),
            "Show the wanted form in the prompt (data.system_prompt), or let the grader accept more (grader).",
        ),
    )


def judge_slowness(story: Story) -> Finding | None:
    grading, step = story.recent.mean("timing/grade_s"), story.recent.mean("step_time")
    if grading is None or step is None or len(story.recent) < ENOUGH or grading < WAITING * step:
        return None
    return Finding(
        topic=Topic.SLOW_GRADING,
        severity=Severity.WARNING,
        found=f"Grading takes {grading:.1f} s of the {step:.1f} s of a step: the model waits for its grader.",
        evidence=story.recent.means("timing/grade_s", "step_time", "grader/latency_p50", "grader/latency_p95"),
        steps=story.recent.span,
        changes=_faster(story),
    )


RULES = (judge_unscorable, judge_timeouts, judge_faults, judge_slowness)


def _answers(story: Story) -> float:
    """How many were graded in the latest steps."""
    sampling = story.config.sampling
    resampled = sum(story.recent.values("groups/resampled"))
    return (len(story.recent) * sampling.prompts_per_step + resampled) * sampling.group_size


def _rates(stretch: Stretch) -> dict[str, float]:
    return stretch.means(
        "unscorable", "grader/error_rate", "grader/timeout_rate", "grader/latency_p50", "grader/latency_p95"
    )


def _faster(story: Story) -> tuple[str, ...]:
    grading = story.config.grading
    changes = []
    for name, service in (("judge", grading.judge), ("embedder", grading.embedder)):
        if service is not None:
            more = 2 * service.max_concurrency
            changes.append(
                f"Raise grading.{name}.max_concurrency from {service.max_concurrency} to {more}, if the server can."
            )
    workers = f" from {grading.workers} to {2 * grading.workers}" if grading.workers else ", up to one for each core"
    return (*changes, f"Raise grading.workers{workers}.", "Make the grader faster: `verifine grade run` times it.")
