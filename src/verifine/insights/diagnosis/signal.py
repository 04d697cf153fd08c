"""Is there anything to learn from? A group with equal rewards teaches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from verifine.insights.diagnosis.entropy import find_collapse
from verifine.insights.diagnosis.groups import (
    GROUPS,
    LOST,
    describe_groups,
    describe_mixed,
    is_solved,
    is_undecided,
    share_lost,
)
from verifine.insights.diagnosis.history import ENOUGH, RunHistory
from verifine.insights.diagnosis.suggesting import (
    START_AGAIN,
    compare_prompts,
    learned_before,
    more_answers,
    raise_entropy_bonus,
)
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

MUCH_SILENCE = 0.75
"""Above this share of groups without signal, most of a step's sampling is wasted."""
SILENCE = 0.95
"""Above this share, more than half of all steps with eight groups have no group with signal."""
HARD = 0.05
"""Below this share of right answers, they have no signal because almost nothing is right."""


def judge_signal(history: RunHistory) -> Finding | None:
    """All wrong, all right, or the same for each prompt: these look alike in a curve, and need different remedies."""
    silence = _silence(history)
    if len(history.recent) < ENOUGH or silence is None or silence < MUCH_SILENCE:
        return None
    if is_solved(history, history.recent):
        return _nothing_left(history, silence)
    if history.level is not None and history.level <= HARD:
        return _too_hard(history, silence)
    if not (silence >= SILENCE or history.stagnates) or find_collapse(history) is not None:
        return None
    return _no_signal(history, silence)


RULES = (judge_signal,)


def _silence(history: RunHistory) -> float | None:
    """The share of groups without signal; for algorithms that compare across prompts, of steps without signal."""
    row = history.config.algorithm.recipe
    if row.group_filter is not None:  # other prompts take the place of silent groups: those without a replacement count
        missing = history.recent.mean("groups/missing")
        return None if missing is None else missing / history.config.sampling.prompts_per_step
    if history.config.compares_within_groups:
        return history.recent.mean("frac_reward_zero_std")
    trained = history.recent.values("groups/trained")
    return sum(groups == 0 for groups in trained) / len(trained) if trained else None


def _nothing_left(history: RunHistory, silence: float) -> Finding:
    found = f"{_level(history)} and in {silence:.0%} of the groups all answers scored the same: "
    if is_solved(history, history.opening):
        return _finding(
            history,
            Topic.TOO_EASY,
            Severity.WARNING,
            f"{found}the model could do this from the first step.",
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
    """A note where few groups are all wrong: then success is the main cause."""
    is_lost, undecided = share_lost(history) >= LOST, is_undecided(history)
    severity = Severity.PROBLEM if silence >= SILENCE and not history.rises else Severity.WARNING
    return _finding(
        history,
        Topic.NO_SIGNAL,
        severity if is_lost else Severity.NOTE,
        f"In {silence:.0%} of the groups all answers scored the same{_cause(history, undecided=undecided)}"
        + learned_before(history),
        tuple(_more_answers_differ(history) if undecided else _decide_again(history)),
    )


def _cause(history: RunHistory, *, undecided: bool) -> str:
    groups = describe_groups(history)
    if not groups:
        return (
            f", though {_level(history, starts=False)} some prompts are always answered right and others never, and "
            "neither kind teaches anything."
        )
    if undecided:
        size = history.config.sampling.group_size
        return f": {groups}, which is what chance gives groups of {size} at this rate of success."
    return (
        f": {groups}. The model has decided most prompts, some of them wrong: {describe_mixed(history)}. A prompt with "
        "answers that are all alike teaches nothing."
    )


def _decide_again(history: RunHistory) -> Iterator[str]:
    """Remedies where most prompts are decided: more answers would be the same ones."""
    yield f"{raise_entropy_bonus(history)} {START_AGAIN}"
    yield from compare_prompts(history)
    yield from _others(history)


def _more_answers_differ(history: RunHistory) -> Iterator[str]:
    yield more_answers(history)
    yield from _others(history)


def _others(history: RunHistory) -> Iterator[str]:
    if history.config.compares_within_groups and history.config.algorithm.recipe.group_filter is None:
        yield "Set algorithm.name to dapo: it samples other prompts in place of groups without signal."
    yield "Train on prompts of medium difficulty: `verifine check` shows how often each is right."
    yield "Raise sampling.temperature a little, for example to 1.2: answers to a prompt differ more."


def _level(history: RunHistory, *, starts: bool = True) -> str:
    value = history.recent.mean(history.goal)
    if value is None:
        return "No answer could be scored" if starts else "no answer could be scored:"
    if history.goal == "reward":
        return f"{'The' if starts else 'the'} average reward is {value:.2f}" + ("" if starts else ":")
    return f"{value:.0%} of the answers are right" + ("" if starts else ":")


def _finding(history: RunHistory, topic: Topic, severity: Severity, found: str, changes: Sequence[str]) -> Finding:
    missing = ("groups/missing",) if history.config.algorithm.recipe.group_filter is not None else ()
    names = dict.fromkeys(("frac_reward_zero_std", *GROUPS, "groups/trained", *missing, history.goal, "reward"))
    return Finding(
        name=topic,
        severity=severity,
        what=found,
        numbers={**history.recent.means(*names), **history.opening.means(history.goal, suffix="_at_first")},
        steps=history.recent.span,
        remedies=tuple(changes),
    )
