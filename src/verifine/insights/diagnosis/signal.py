"""Is there anything to learn from? A group with equal rewards teaches nothing."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.insights.diagnosis.entropy import find_collapse
from verifine.insights.diagnosis.history import ENOUGH, RunHistory
from verifine.insights.diagnosis.suggesting import learned_before, more_answers
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

MUCH_SILENCE = 0.75
"""Above this share of groups without signal, most of a step's sampling is wasted."""
SILENCE = 0.95
"""Above this share, more than half of all steps with eight groups have no group with signal."""
EASY = 0.9
"""Above this share of right answers, groups have no signal because there is little left to learn."""
HARD = 0.05
"""Below this share of right answers, they have no signal because almost nothing is right."""
LOST = 0.2
"""Above this share of groups that are all wrong, the lack of signal is not just a result of success."""


def judge_signal(history: RunHistory) -> Finding | None:
    """All wrong, all right, or the same for each prompt: these look alike in a curve, and need different remedies."""
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
    """The share of groups without signal; for algorithms that compare across prompts, of steps without signal."""
    row = history.config.algorithm.recipe
    if row.group_filter is not None:  # other prompts take the place of silent groups: those without a replacement count
        missing = history.recent.mean("groups/missing")
        return None if missing is None else missing / history.config.sampling.prompts_per_step
    if row.compares_groups:
        return history.recent.mean("frac_reward_zero_std")
    trained = history.recent.values("groups/trained")
    return sum(groups == 0 for groups in trained) / len(trained) if trained else None


def _lost(history: RunHistory, silence: float) -> float:
    """A rough share of groups in which all answers are wrong; in groups with signal half of them are right on average.

    1 if it is not known.
    """
    return 1.0 if history.level is None else silence - (history.level - (1 - silence) / 2)


def _nothing_left(history: RunHistory, silence: float) -> Finding:
    at_first = history.opening.mean(history.goal) or 0.0
    found = f"{_level(history)} and in {silence:.0%} of the groups all answers scored the same: "
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
        (f"To learn more, train on harder prompts ({_source(history)}); for the same result, take fewer run.steps.",),
    )


def _too_hard(history: RunHistory, silence: float) -> Finding:
    return _finding(
        history,
        Topic.TOO_HARD,
        Severity.PROBLEM if silence >= SILENCE else Severity.WARNING,
        f"{_level(history)} and in {silence:.0%} of the groups all answers scored the same: the model almost never "
        "gets it right, so it has nothing to learn from.",
        (*_easier(history), more_answers(history), "Use a more capable model (model.name)."),
    )


def _source(history: RunHistory) -> str:
    return "data.train" if history.config.data.task is None else "another data.task, or data.train"


def _easier(history: RunHistory) -> tuple[str, ...]:
    if history.config.data.task is not None:
        return ("Use an easier task (data.task).",)
    return (
        "Train on easier prompts, or mix them in (data.train).",
        "Show a solved example in the prompt (data.system_prompt), or give part of the score for part of the answer "
        "(grader.format_weight, a weighted grader).",
    )


def _no_signal(history: RunHistory, silence: float) -> Finding:
    changes = [
        more_answers(history),
        "Train on prompts of medium difficulty: `verifine check` shows how often each is right.",
        "Raise sampling.temperature a little, for example to 1.2: answers to a prompt differ more.",
    ]
    row = history.config.algorithm.recipe
    if row.compares_groups and row.group_filter is None:
        changes.insert(1, "Set algorithm.name to dapo: it samples other prompts in place of groups without signal.")
    return _finding(
        history,
        Topic.NO_SIGNAL,
        Severity.PROBLEM if silence >= SILENCE and not history.rises else Severity.WARNING,
        f"In {silence:.0%} of the groups all answers scored the same, though {_level(history, starts=False)} some "
        "prompts are always answered right and others never, and neither kind teaches anything."
        + learned_before(history),
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
