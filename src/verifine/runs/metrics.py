"""The numbers of a run, step by step: `metrics.jsonl`, and what each name means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from verifine.machine.disk import LOCAL_DISK, Disk
from verifine.runs.jsonl import append_row, end_with_whole_row, read_rows
from verifine.types import Json, StepReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number that a step may report."""

    name: str
    """`rewards/<name>` is a family: every name that begins with `rewards/`."""
    meaning: str
    unit: str = ""
    """Empty: a plain number."""

    def covers(self, name: str) -> bool:
        prefix, is_family, _ = self.name.partition("<")
        return name.startswith(prefix) if is_family else name == self.name


_CATALOGUE = (
    Metric(name="reward", meaning="Average score of the step's answers."),
    Metric(name="reward_std", meaning="Spread of the scores within a group, averaged over the groups."),
    Metric(
        name="frac_reward_zero_std",
        meaning="Share of groups whose answers all scored the same. Where answers are compared only within groups, "
        "they teach nothing.",
        unit="share",
    ),
    Metric(
        name="groups/frac_all_right",
        meaning="Share of groups whose answers are all right. Where the grader does not judge "
        "answers: whose scores are all equal and reach evaluation.pass_score, or 0.9 of 1.",
        unit="share",
    ),
    Metric(
        name="groups/frac_mixed",
        meaning="Share of groups with right and wrong answers; where the grader does not judge them, with different "
        "scores.",
        unit="share",
    ),
    Metric(
        name="groups/frac_all_wrong",
        meaning="Share of groups whose answers are all wrong, or all have the same lower score.",
        unit="share",
    ),
    Metric(
        name="groups/frac_mixed_expected",
        meaning="Share of groups that would be mixed if the step's answers were dealt to its groups at random, as with "
        "one rate of success p for every prompt: 1 - p^G - (1-p)^G for many answers.",
        unit="share",
    ),
    Metric(
        name="groups/undecidedness",
        meaning="Mixed groups over expected ones: about 1 where all prompts are equally hard, 0 where the model gets "
        "each always right or always wrong.",
    ),
    Metric(
        name="rewards/<name>",
        meaning="Average of a part that the grader names: format and answer, or each grader of a weighted one.",
    ),
    Metric(name="format_accuracy", meaning="Share of answers in the right format.", unit="share"),
    Metric(name="answer_accuracy", meaning="Share of answers that are right.", unit="share"),
    Metric(name="unscorable", meaning="Answers the grader could not score; they are left out.", unit="answers"),
    Metric(name="grader/latency_p50", meaning="Time in which half of the answers were graded, each.", unit="seconds"),
    Metric(name="grader/latency_p95", meaning="Time in which 95 % of the answers were graded, each.", unit="seconds"),
    Metric(
        name="grader/error_rate",
        meaning="Share of answers with which something went wrong in grading, unscorable or scored 0 for it.",
        unit="share",
    ),
    Metric(name="grader/timeout_rate", meaning="Share of answers whose grading took too long.", unit="share"),
    Metric(name="grader/judge_tokens", meaning="Tokens that judges read and wrote in the step.", unit="tokens"),
    Metric(name="completions/mean_length", meaning="Average length of an answer.", unit="tokens"),
    Metric(name="completions/min_length", meaning="Length of the shortest answer.", unit="tokens"),
    Metric(name="completions/max_length", meaning="Length of the longest answer.", unit="tokens"),
    Metric(name="completions/clipped_ratio", meaning="Share of answers cut off at max_new_tokens.", unit="share"),
    Metric(
        name="completions/reasoning_tokens",
        meaning="Average length of the thoughts of an answer, without their tags, for models with tokens for them.",
        unit="tokens",
    ),
    Metric(
        name="completions/thinking_clipped_ratio",
        meaning="Share of answers with a thought that was ended at thinking_token_budget.",
        unit="share",
    ),
    Metric(
        name="completions/entropy_estimate",
        meaning="How undecided the model is about an answer as a whole, estimated from the step's answers: minus their "
        "log-probability, averaged. It is known of every step.",
        unit="nats per answer",
    ),
    Metric(name="loss", meaning="What the optimiser lowers. Near 0 is normal; it says little about progress."),
    Metric(name="grad_norm", meaning="Size of the gradient before it is limited."),
    Metric(name="learning_rate", meaning="Learning rate of the step."),
    Metric(name="kl", meaning="How far the model has moved from where it started.", unit="nats per token"),
    Metric(
        name="entropy",
        meaning="How undecided the model is about a token it learns from, on average; where most tokens are a fixed "
        "form, near 0 even if it is undecided about the others. With algorithm.entropy_min_p: among plausible tokens. "
        "With algorithm.subsample higher than over all answers (completions/entropy_estimate), since it learns from "
        "those that it is undecided about.",
        unit="nats",
    ),
    Metric(
        name="entropy_top_fifth",
        meaning="The same for the 20 % of those tokens that it is most undecided about.",
        unit="nats",
    ),
    Metric(
        name="entropy_control/bonus", meaning="Weight of the entropy in the step's loss, where entropy_control is set."
    ),
    Metric(
        name="entropy_control/target",
        meaning="The entropy a token that it holds, by the answers' own probabilities.",
        unit="nats",
    ),
    Metric(name="clip_ratio/low_mean", meaning="Share of tokens held back by clip_low.", unit="share"),
    Metric(name="clip_ratio/high_mean", meaning="Share of tokens held back by clip_high.", unit="share"),
    Metric(name="clip_ratio/region_mean", meaning="Share of tokens held back by either.", unit="share"),
    Metric(name="clip_ratio/dual_mean", meaning="Share of tokens with a cost that dual_clip bounds.", unit="share"),
    Metric(
        name="ratio/mean",
        meaning="Probability of a token now over that under the old policy; 1 where a batch is used once.",
    ),
    Metric(name="ratio/min", meaning="The smallest such ratio."),
    Metric(name="ratio/max", meaning="The largest such ratio."),
    Metric(
        name="importance/mean",
        meaning="Probability of a token under the learner over that under the sampler, where importance_cap is set.",
    ),
    Metric(
        name="importance/capped_mean",
        meaning="Share of tokens with such a weight that importance_cap reduces.",
        unit="share",
    ),
    Metric(name="critic/loss", meaning="The critic's part of the loss."),
    Metric(
        name="critic/explained_variance",
        meaning="How much of the differences in return the critic foresaw: 1 all, 0 none, below 0 worse than none.",
    ),
    Metric(name="critic/value_mean", meaning="Average reward that the critic expected."),
    Metric(name="critic/return_mean", meaning="Average return that it should have expected."),
    Metric(name="critic/clip_ratio", meaning="Share of values held back by value_clip.", unit="share"),
    Metric(name="critic/grad_norm", meaning="Size of the critic's own gradient before it is limited."),
    Metric(
        name="mismatch/mean",
        meaning="Difference between the sampler's and the learner's log-probability of a token, on average.",
        unit="nats",
    ),
    Metric(name="mismatch/max", meaning="The largest such difference.", unit="nats"),
    Metric(
        name="mismatch/kl",
        meaning="How far the sampler's distribution is from the learner's; 0 where one process does both in float32.",
        unit="nats per token",
    ),
    Metric(
        name="mismatch/probe_mean",
        meaning="As mismatch/mean, on the fixed tokens that the canary compares after an update.",
        unit="nats",
    ),
    Metric(name="mismatch/probe_max", meaning="The largest difference on those tokens.", unit="nats"),
    Metric(
        name="groups/trained",
        meaning="Groups in which some answer had an advantage, without those that `algorithm.subsample` left out.",
        unit="groups",
    ),
    Metric(name="groups/resampled", meaning="Groups sampled in place of groups without signal.", unit="groups"),
    Metric(
        name="groups/missing",
        meaning="Groups that could not be filled with signal within max_resample rounds; the step had so many fewer.",
        unit="groups",
    ),
    Metric(
        name="groups/answers",
        meaning="Answers drawn for a prompt, on average, where sampling.rounds or sampling.allocation decides how "
        "many. Averages of scores and lengths are then of the first answers only, which every prompt gets.",
        unit="answers",
    ),
    Metric(name="groups/answers_max", meaning="The most answers drawn for a prompt.", unit="answers"),
    Metric(name="groups/rounds", meaning="Rounds of sampling.rounds that a prompt took, on average.", unit="rounds"),
    Metric(
        name="groups/resolved",
        meaning="Share of prompts with the right and wrong answers that sampling.rounds looks for.",
        unit="share",
    ),
    Metric(
        name="prompts/skipped_right",
        meaning="Prompts that sampling.skip left out because they were nearly always answered right.",
        unit="prompts",
    ),
    Metric(
        name="prompts/skipped_wrong",
        meaning="Prompts that it left out because they were nearly always answered wrong.",
        unit="prompts",
    ),
    Metric(name="prompts/known", meaning="Share of the prompts asked that were asked before.", unit="share"),
    Metric(name="updates", meaning="Updates of the weights.", unit="updates"),
    Metric(
        name="update_skipped",
        meaning="Updates that were not made: nothing to learn, or an infinite loss or gradient.",
        unit="updates",
    ),
    Metric(
        name="memory/micro_batch_tokens",
        meaning="Most tokens of one forward and backward pass; it goes down where memory runs out.",
        unit="tokens",
    ),
    Metric(
        name="memory/shortages",
        meaning="How often memory has run out since the run began; the work was then repeated in smaller parts.",
    ),
    Metric(name="step_time", meaning="Duration of the whole step.", unit="seconds"),
    Metric(name="timing/generate_s", meaning="Time spent sampling answers.", unit="seconds"),
    Metric(name="timing/grade_s", meaning="Time spent grading them.", unit="seconds"),
    Metric(name="timing/estimate_s", meaning="Time spent on log-probabilities before the update.", unit="seconds"),
    Metric(name="timing/update_s", meaning="Time spent on the update.", unit="seconds"),
    Metric(name="tokens_per_second", meaning="Sampled tokens per second of sampling.", unit="tokens/second"),
    Metric(name="num_tokens", meaning="Tokens sampled since the run began.", unit="tokens"),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _CATALOGUE}
"""Every name or family of names a step may report, in the order people want to read them."""


def explain_metrics(names: Iterable[str]) -> list[Metric]:
    """What each of `names` means, in the order of METRICS; names without an explanation are left out."""
    given = tuple(names)
    return [replace(metric, name=name) for metric in METRICS.values() for name in given if metric.covers(name)]


class MetricLog:
    """Appends the numbers of each step, readable by others as soon as `append` returns."""

    def __init__(self, path: Path, disk: Disk = LOCAL_DISK) -> None:
        self._path = path
        self._disk = disk
        end_with_whole_row(path)

    def append(self, report: StepReport) -> None:
        """A number that is not finite is written as null.

        Raises:
            ValueError: a name is not in METRICS.
        """
        unknown = sorted(report.metrics.keys() - {metric.name for metric in explain_metrics(report.metrics)})
        if unknown:
            raise ValueError(f"metrics without an entry in runs.metrics.METRICS: {', '.join(unknown)}")
        append_row(self._path, {"step": report.step, **report.metrics}, self._disk)


def read_metrics(path: Path) -> list[StepReport]:
    """Every step of the file; none if there is no file. What was null is left out, as is a half-written last line."""
    return [report_of(row) for row in read_rows(path)]


def report_of(row: Mapping[str, Json]) -> StepReport:
    """The step that a row of the file holds."""
    numbers = {name: float(value) for name, value in row.items() if name != "step" and isinstance(value, int | float)}
    return StepReport(step=int(str(row["step"])), metrics=numbers)
