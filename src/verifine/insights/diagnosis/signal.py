"""Is there anything to learn from? A group whose answers all earn the same teaches nothing."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.insights.diagnosis.entropy import find_collapse
from verifine.insights.diagnosis.history import ENOUGH, RunHistory
from verifine.insights.diagnosis.suggesting import more_answers
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

MUCH_SILENCE = 0.75
"""Share of groups without signal from which most of a step's sampling is for nothing."""
SILENCE = 0.95
"""From here on a step of eight groups has, more often than not, none with a signal."""
EASY = 0.9
"""Share of right answers from which groups are silent because there is little left to learn."""
HARD = 0.05
"""Share of right answers up to which they are silent because almost nothing is right."""
LOST = 0.2
"""Share of groups that are silent and wrong, from which silence is not just what success looks like."""


def judge_signal(history: RunHistory) -> Finding | None:
    """All wrong, all right, or always the same of each prompt: they look alike in a curve, and want other things."""
    silence = _silence(history)
    if len(history.recent) < ENOUGH or silence is None or silence < MUCH_SILENCE:
        return None
    if history.level is not None and history.level >= EASY:
        return _nothing_left(history, silence)
    if history.level is not None and history.level <= HARD:
        return _too_hard(history, silence)
    is_stuck = silence >= SILENCE or history.stagnates
    if not is_stuck or _lost(history, silence) < LOST or find_collapse(history) is not None:
        return None
    return _no_signal(history, silence)


RULES = (judge_signal,)


def _silence(history: RunHistory) -> float | None:
    """The share of groups that teach nothing; for algorithms that compare across prompts, that of steps."""
    row = history.config.algorithm.recipe
    if row.group_filter is not None:  # other prompts take the place of silent groups: those without a replacement count
        missing = history.recent.mean("groups/missing")
        return None if missing is None else missing / history.config.sampling.prompts_per_step
    if row.compares_groups:
        return history.recent.mean("frac_reward_zero_std")
    trained = history.recent.values("groups/trained")
    return sum(groups == 0 for groups in trained) / len(trained) if trained else None


def _lost(history: RunHistory, silence: float) -> float:
    """About which share of groups is silent and wrong: of the others half of the answers are right, on average.

    1 where nobody knows.
    """
    return 1.0 if history.level is None else silence - (history.level - (1 - silence) / 2)


def _nothing_left(history: RunHistory, silence: float) -> Finding:
    at_first = history.opening.mean(history.goal) or 0.0
    found = f"{_level(history)} and in {silence:.0%} of the groups all answers earned the same: "
    if at_first >= EASY:
        return _finding(
            history,
            Topic.TOO_EASY,
            Severity.WARNING,
            f"{found}the model could do this from the first step ({at_first:.2f}).",
            (f"Train on harder prompts ({_source(history)}).",),
        )
    return _finding(
        history,
        Topic.SOLVED,
        Severity.NOTE,
        f"{found}there is little left to learn here.",
        (f"For more, train on harder prompts ({_source(history)}); for the same, fewer run.steps are enough.",),
    )


def _too_hard(history: RunHistory, silence: float) -> Finding:
    return _finding(
        history,
        Topic.TOO_HARD,
        Severity.PROBLEM if silence >= SILENCE else Severity.WARNING,
        f"{_level(history)} and in {silence:.0%} of the groups all answers earned the same: the model almost never "
        "gets it right, so it has nothing to learn from.",
        (*_easier(history), more_answers(history), "Take a more capable model (model.name)."),
    )


def _source(history: RunHistory) -> str:
    return "data.train" if history.config.data.task is None else "another data.task, or data.train"


def _easier(history: RunHistory) -> tuple[str, ...]:
    if history.config.data.task is not None:
        return ("Take an easier task (data.task).",)
    return (
        "Train on easier prompts, or mix them in (data.train).",
        "Show a solved example in the prompt (data.system_prompt), or give part of the score for part of the answer "
        "(grader.format_weight, a weighted grader).",
    )


def _no_signal(history: RunHistory, silence: float) -> Finding:
    changes = [
        more_answers(history),
        "Train on prompts of middling difficulty: `verifine check` shows how often each is right.",
        "Raise sampling.temperature a little, such as to 1.2: answers to a prompt differ more.",
    ]
    row = history.config.algorithm.recipe
    if row.compares_groups and row.group_filter is None:
        changes.insert(1, "Set algorithm.name to dapo: it samples other prompts in place of groups without signal.")
    return _finding(
        history,
        Topic.NO_SIGNAL,
        Severity.PROBLEM if silence >= SILENCE and not history.rises else Severity.WARNING,
        f"In {silence:.0%} of the groups all answers earned the same, though {_level(history, starts=False)} some "
        "prompts are always right and others never, and neither kind teaches anything.",
        tuple(changes),
    )


def _level(history: RunHistory, *, starts: bool = True) -> str:
    value = history.recent.mean(history.goal)
    if value is None:
        return "No answer could be scored" if starts else "no answer could be scored:"
    if history.goal == "reward":
        return f"{'The' if starts else 'the'} average reward is {value:.2f}" + ("" if starts else ":")
    return f"{value:.0%} of the answers are right" + ("" if starts else ":")


def _finding(history: RunHistory, topic: Topic, severity: Severity, found: str, changes: Sequence[str]) -> Finding:
    missing = ("groups/missing",) if history.config.algorithm.recipe.group_filter is not None else ()
    names = dict.fromkeys(("frac_reward_zero_std", "groups/trained", *missing, history.goal, "reward"))
    return Finding(
        name=topic,
        severity=severity,
        what=found,
        numbers={**history.recent.means(*names), **history.opening.means(history.goal, suffix="_at_first")},
        steps=history.recent.span,
        remedies=tuple(changes),
    )
