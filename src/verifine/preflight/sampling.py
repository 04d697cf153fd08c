"""The answers of the base model, and whether it can learn from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from verifine.config import RunConfig
from verifine.insights.findings import Finding, Severity
from verifine.insights.inference import wilson_interval
from verifine.insights.outcome import pluralize
from verifine.insights.scores import Scores
from verifine.training.budget import BUDGET_SHARE

SURE_GROUPS, SURE_ANSWERS = 32, 512
"""With this many groups and answers, no signal at all is not an accident.

The rule of three: if something does not occur in 512 answers, its rate is below 3 in 512 (0.6 %) with 95 % confidence.
"""

RIGHT_GROUPS, RIGHT_ANSWERS = 8, 64
"""With this many groups and answers, all of them right, there is nothing to learn: prompts do not get harder later."""

LOW_SIGNAL = 0.25
"""Below this share of groups with signal, most of a step's sampling is wasted."""

EASY = 0.95
"""Share of right answers from which there is little left to learn."""

MANY_TRUNCATED = 0.2
LOW_FORMAT = 0.2
SAME_TEXTS = 0.3
"""Share of different answers in a group below which the model repeats itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAnswer:
    """An answer to show to people."""

    prompt: str
    text: str
    score: float | None
    """None: unscorable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingFacts:
    """The facts about a few groups that were sampled and graded as in training."""

    prompts: int
    samples: int
    """For each prompt."""
    scores: Scores
    """The scores of all answers, and the shares with the right format and a right answer (None: not judged)."""
    prompt_rates: tuple[float, ...]
    """For each prompt with an answer that could be scored: the share of right answers, or the mean score if the grader
    does not judge that."""
    groups_with_signal: int
    """Groups with different rewards."""
    has_signal: bool
    """Whether the algorithm could learn from these groups together."""
    truncated: float
    """Share of answers cut off at max_new_tokens."""
    mean_tokens: float
    """The mean length of an answer."""
    different_texts: float
    """Share of different answers among those to one prompt, on average."""
    shown: tuple[ShownAnswer, ...]

    @property
    def answers(self) -> int:
        return self.prompts * self.samples

    @property
    def judges_answers(self) -> bool:
        """Whether `prompt_rates` are shares of right answers."""
        return self.scores.answer_accuracy is not None

    def useful_groups(self, prompts_per_step: int) -> tuple[float, float]:
        """The expected number of groups with signal in a step: its 95 % interval."""
        low, high = wilson_interval(self.groups_with_signal, self.prompts)
        return prompts_per_step * low, prompts_per_step * high


def judge_sampling(facts: SamplingFacts, config: RunConfig, best: float | None) -> list[Finding]:
    """All findings; `best` is the score that a right answer is known to get, None: it is not known."""
    if not facts.scores.scored:
        return [*_unscorable(facts)]
    return [
        *_unscorable(facts),
        *_signal(facts, config, best),
        *_truncation(facts, config),
        *_format(facts),
        *_sample_size(facts, config),
    ]


def _unscorable(facts: SamplingFacts) -> Iterator[Finding]:
    scores = facts.scores
    if scores.unscorable <= BUDGET_SHARE * scores.count:
        return
    reasons = "\n".join(f"{reason} ({times} times)" for reason, times in scores.reasons[:3])
    is_hopeless = 2 * scores.unscorable > scores.count
    yield Finding(
        severity=Severity.BLOCKER if is_hopeless else Severity.WARNING,
        name="model_answers_unscorable",
        what=f"The grader could not score {scores.unscorable} of the model's {scores.count} answers.",
        evidence=reasons,
        remedies=(f"Fix the grader: a run ends when more than {BUDGET_SHARE:.0%} of its answers cannot be scored.",),
    )


def _signal(facts: SamplingFacts, config: RunConfig, best: float | None) -> Iterator[Finding]:
    compares_groups = config.compares_within_groups
    if compares_groups and facts.samples == 1:
        return  # a single answer differs from no other
    right = _share_right(facts, best)
    nothing = facts.groups_with_signal == 0 if compares_groups else not facts.has_signal
    if nothing:
        yield _no_signal(facts, config, right, best)
    elif right is not None and right >= EASY:
        yield _finding(
            Severity.WARNING,
            "little_left_to_learn",
            "The model already answers nearly everything right, so there is little left to learn.",
            facts,
            config,
            "Use harder prompts (data.train).",
        )
    elif facts.scores.answer_accuracy == 0:
        yield _finding(
            Severity.WARNING,
            "never_right",
            f"Too hard: none of {facts.answers} answers was right.",
            facts,
            config,
            "The model learns only what it sometimes gets right. Use easier prompts (data.train), show a solved "
            "example in the prompt, or take a stronger model (model.name).",
        )
    if not nothing and compares_groups and facts.groups_with_signal < LOW_SIGNAL * facts.prompts:
        yield _finding(
            Severity.WARNING,
            "little_signal",
            f"Only {facts.groups_with_signal} of {facts.prompts} prompts got answers with different rewards; the "
            "others teach nothing.",
            facts,
            config,
            _more_signal(facts, config),
        )


def _share_right(facts: SamplingFacts, best: float | None) -> float | None:
    """The share of right answers; None: it is not known what is right."""
    mean = facts.scores.mean
    if facts.scores.answer_accuracy is not None or mean is None or best is None or best <= 0:
        return facts.scores.answer_accuracy
    return mean / best


def _all_right(facts: SamplingFacts, best: float | None) -> bool:
    """Whether every single answer was right."""
    scores = facts.scores
    if scores.unscorable or scores.lowest is None:
        return False
    if scores.answer_accuracy is not None:
        return scores.answer_accuracy == 1
    return best is not None and scores.lowest >= best


def _no_signal(facts: SamplingFacts, config: RunConfig, right: float | None, best: float | None) -> Finding:
    is_sure = facts.answers >= SURE_ANSWERS and facts.prompts >= SURE_GROUPS
    severity = Severity.BLOCKER if is_sure else Severity.WARNING
    if right is not None and right >= EASY:
        knows_all = facts.answers >= RIGHT_ANSWERS and facts.prompts >= RIGHT_GROUPS and _all_right(facts, best)
        return _finding(
            Severity.BLOCKER if knows_all else severity,
            "nothing_left_to_learn",
            "Nothing left to learn: the model already answers everything right.",
            facts,
            config,
            "Use harder prompts (data.train).",
        )
    if right is not None and right <= 0:
        return _finding(
            severity,
            "too_hard",
            "Too hard: no answer was right, and all answers to a prompt got the same reward.",
            facts,
            config,
            "Take easier prompts (data.train), show a solved example in the prompt or say how to answer "
            "(data.system_prompt), let the grader give something for the format (format_weight), or take a stronger "
            "model (model.name).",
        )
    return _finding(
        severity,
        "no_signal",
        "All answers to each prompt got the same reward, so there is nothing to learn from.",
        facts,
        config,
        _more_signal(facts, config),
    )


def _more_signal(facts: SamplingFacts, config: RunConfig) -> str:
    sampling = config.sampling
    if facts.different_texts < SAME_TEXTS:
        return (
            f"The answers to a prompt are nearly all alike: raise sampling.temperature (now {sampling.temperature:g})."
        )
    has_filter = config.algorithm.recipe.group_filter is not None
    others = "" if has_filter else ", or let the algorithm replace such prompts (algorithm: dapo)"
    return (
        f"Sample more answers to each prompt (sampling.group_size, now {sampling.group_size}), use prompts that the "
        f"model sometimes gets right (data.train){others}, or raise sampling.temperature "
        f"(now {sampling.temperature:g})."
    )


def _truncation(facts: SamplingFacts, config: RunConfig) -> Iterator[Finding]:
    if facts.truncated <= MANY_TRUNCATED:
        return
    yield Finding(
        severity=Severity.WARNING,
        name="answers_cut_off",
        what=f"{facts.truncated:.0%} of the answers were cut off before they were finished.",
        evidence=f"{pluralize(facts.answers, 'answer')} of at most {config.sampling.max_new_tokens} tokens, "
        f"{facts.mean_tokens:.0f} on average",
        remedies=(
            f"Raise sampling.max_new_tokens (now {config.sampling.max_new_tokens}), end answers where they are done "
            "(sampling.stop), or ask for short ones (data.system_prompt).",
        ),
    )


def _format(facts: SamplingFacts) -> Iterator[Finding]:
    share = facts.scores.format_accuracy
    if share is None or share >= LOW_FORMAT:
        return
    yield Finding(
        severity=Severity.WARNING,
        name="format_unknown",
        what="The model hardly ever answers in the format that the grader expects.",
        evidence=f"{round(share * facts.answers)} of {pluralize(facts.answers, 'answer')}",
        remedies=(
            "Say in the prompt how to answer (data.system_prompt), show a solved example in it, or let the grader "
            "give something for the format alone (format_weight).",
        ),
    )


def _sample_size(facts: SamplingFacts, config: RunConfig) -> Iterator[Finding]:
    if facts.samples >= config.sampling.group_size:
        return
    yield Finding(
        severity=Severity.NOTE,
        name="smaller_groups",
        what=f"The check sampled {facts.samples} answers to each prompt; training samples "
        f"{config.sampling.group_size}, so more groups will have signal.",
        evidence="",
        remedies=(),
    )


def _finding(severity: Severity, name: str, what: str, facts: SamplingFacts, config: RunConfig, remedy: str) -> Finding:
    """A finding about signal, with the numbers that such findings are based on."""
    parts = [f"mean score {facts.scores.mean:.2f}"]
    if config.compares_within_groups:
        low, high = wilson_interval(facts.groups_with_signal, facts.prompts)
        with_signal = f"{facts.groups_with_signal} of {pluralize(facts.prompts, 'group')} with signal"
        parts.insert(0, f"{with_signal} (95 % interval of the share: {low:.0%} to {high:.0%})")
    if facts.scores.answer_accuracy is not None:
        right = round(facts.scores.answer_accuracy * len(facts.scores.scored))
        parts.append(f"{right} of {pluralize(facts.answers, 'answer')} right")
    return Finding(severity=severity, name=name, what=what, evidence=", ".join(parts), remedies=(remedy,))
