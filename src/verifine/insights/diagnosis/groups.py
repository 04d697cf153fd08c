"""How the groups of the latest steps came out: what tells a model that has solved its task from one that is stuck."""

from __future__ import annotations

from verifine.insights.diagnosis.history import RunHistory, Window

_RIGHT, _WRONG = "groups/frac_all_right", "groups/frac_all_wrong"
_MIXED, _EXPECTED, _UNDECIDEDNESS = "groups/frac_mixed", "groups/frac_mixed_expected", "groups/undecidedness"
GROUPS = (_RIGHT, _MIXED, _EXPECTED, _WRONG, _UNDECIDEDNESS)
"""The metrics, as evidence."""

EASY = 0.9
"""From this share of right answers on, groups have no signal because there is little left to learn."""
LOST = 0.2
"""From this share of groups that are all wrong on, low entropy or a lack of signal is not just a result of success."""
DECIDED = 0.5
"""Below this undecidedness, most prompts that could go either way no longer do."""


def is_solved(history: RunHistory, window: Window) -> bool:
    """Whether nearly all answers of these steps were right."""
    if history.level is None and not _knows_best(history):
        return False
    share = window.mean(_RIGHT if history.level is None else history.goal)
    return share is not None and share >= EASY


def share_lost(history: RunHistory) -> float:
    """The share of groups that are all wrong, or the most that it can be; 1 where it is not known what is right."""
    if history.level is None and not _knows_best(history):
        return 1.0
    wrong = history.recent.mean(_WRONG)
    return 1 - (history.level or 0.0) if wrong is None else wrong


def is_mostly_lost(history: RunHistory) -> bool:
    """Whether most groups are known to be all wrong."""
    wrong = history.recent.mean(_WRONG)
    return wrong is not None and wrong > 0.5


def is_undecided(history: RunHistory) -> bool:
    """Whether about as many groups are mixed as one rate of success would leave; no if that is not known."""
    undecidedness = history.recent.mean(_UNDECIDEDNESS)
    return undecidedness is not None and undecidedness >= DECIDED


def describe_groups(history: RunHistory) -> str:
    """A clause with the shares, such as `62% are all right and 31% all wrong`; empty: they are not known."""
    right, wrong = history.recent.mean(_RIGHT), history.recent.mean(_WRONG)
    return "" if right is None or wrong is None else f"{right:.0%} are all right and {wrong:.0%} all wrong"


def describe_mixed(history: RunHistory) -> str:
    """A clause that compares the share of mixed groups with the expected one."""
    mixed, expected = history.recent.mean(_MIXED) or 0.0, history.recent.mean(_EXPECTED) or 0.0
    return f"with one rate of success for every prompt {expected:.0%} would be mixed, and {mixed:.0%} are"


def _knows_best(history: RunHistory) -> bool:
    """Whether a score is known from which an answer counts as right."""
    return history.config.evaluation.passing_in_training(history.config.grader) is not None
