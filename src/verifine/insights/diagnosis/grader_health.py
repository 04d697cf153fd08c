"""Does the grader work, and how long does it take?"""

from __future__ import annotations

from verifine.insights.diagnosis.history import ENOUGH, RunHistory, Window
from verifine.insights.diagnosis.suggesting import read_answers
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

ANSWERS = 100
"""With fewer answers than this, a share of a few percent means nothing."""
FAILING = 0.02
"""With this share of unscorable answers, the grader is at fault, not an unusual answer."""
ENDING = 0.05
"""A run ends when more than this share cannot be scored."""
SLOW = 0.02
"""Share of answers whose grading took too long."""
FAULTY = 0.1
"""Share of answers that score 0 because something that the grader reads is missing."""
WAITING = 0.5
"""Share of a step's time above which grading is most of the step."""


def judge_unscorable(history: RunHistory) -> Finding | None:
    answers = _answers(history)
    unscorable = sum(history.recent.values("unscorable"))
    if answers < ANSWERS or unscorable < FAILING * answers:
        return None
    share = unscorable / answers
    return Finding(
        name=Topic.UNSCORABLE_ANSWERS,
        severity=Severity.PROBLEM if share > ENDING else Severity.WARNING,
        what=f"The grader could not score {share:.1%} of the answers; the model cannot learn from them, and the run "
        f"ends if there are more than {ENDING:.0%}.",
        numbers={"share_unscorable": share, **_rates(history.recent)},
        steps=history.recent.span,
        remedies=(
            "Fix the grader: the field `reason` in rollouts/ says what went wrong with each answer.",
            "Try it on its own: `verifine grade run` grades one answer.",
        ),
    )


def judge_timeouts(history: RunHistory) -> Finding | None:
    rate = history.recent.mean("grader/timeout_rate")
    if rate is None or _answers(history) < ANSWERS or rate < SLOW:
        return None
    return Finding(
        name=Topic.GRADER_TIMEOUTS,
        severity=Severity.WARNING,
        what=f"Grading took too long for {rate:.1%} of the answers; they could not be scored, or scored 0.",
        numbers=_rates(history.recent),
        steps=history.recent.span,
        remedies=_faster(history),
    )


def judge_faults(history: RunHistory) -> Finding | None:
    """Faults other than time-outs and unscorable answers: answers that scored 0 for their form."""
    rate, answers = history.recent.mean("grader/error_rate"), _answers(history)
    if rate is None or answers < ANSWERS:
        return None
    others = rate - max(
        sum(history.recent.values("unscorable")) / answers, history.recent.mean("grader/timeout_rate") or 0
    )
    if others < FAULTY:
        return None
    return Finding(
        name=Topic.GRADER_FAULTS,
        severity=Severity.WARNING,
        what=f"{others:.0%} of the answers scored 0 because the grader could not read them: they lack the form it "
        "expects, such as JSON.",
        numbers=_rates(history.recent),
        steps=history.recent.span,
        remedies=(
            read_answers("some answers with their `reason`"),
            "Show the expected form in the prompt (data.system_prompt), or let the grader accept more (grader).",
        ),
    )


def judge_slowness(history: RunHistory) -> Finding | None:
    grading, step = history.recent.mean("timing/grade_s"), history.recent.mean("step_time")
    if grading is None or step is None or len(history.recent) < ENOUGH or grading < WAITING * step:
        return None
    return Finding(
        name=Topic.SLOW_GRADING,
        severity=Severity.WARNING,
        what=f"Grading takes {grading:.1f} s of the {step:.1f} s of a step: training waits for the grader.",
        numbers=history.recent.means("timing/grade_s", "step_time", "grader/latency_p50", "grader/latency_p95"),
        steps=history.recent.span,
        remedies=_faster(history),
    )


RULES = (judge_unscorable, judge_timeouts, judge_faults, judge_slowness)


def _answers(history: RunHistory) -> float:
    """The number of answers graded in the latest steps."""
    sampling = history.config.sampling
    resampled = sum(history.recent.values("groups/resampled"))
    answers = history.recent.mean("groups/answers") or sampling.group_size
    return (len(history.recent) * sampling.prompts_per_step + resampled) * answers


def _rates(window: Window) -> dict[str, float]:
    return window.means(
        "unscorable", "grader/error_rate", "grader/timeout_rate", "grader/latency_p50", "grader/latency_p95"
    )


def _faster(history: RunHistory) -> tuple[str, ...]:
    grading = history.config.grading
    changes = []
    for name, service in (("judge", grading.judge), ("embedder", grading.embedder)):
        if service is not None:
            more = 2 * service.max_concurrency
            changes.append(
                f"Raise grading.{name}.max_concurrency from {service.max_concurrency} to {more}, if the server can."
            )
    workers = f" from {grading.workers} to {2 * grading.workers}" if grading.workers else ", up to one for each core"
    return (*changes, f"Raise grading.workers{workers}.", "Make the grader faster: `verifine grade run` times it.")
