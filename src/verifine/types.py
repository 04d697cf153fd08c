"""The values that flow through one training step. Frozen, and free of torch.

Axes: P prompts, G rollouts a prompt (the group), B = P*G rollouts, N action tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any JSON value."""

Role = Literal["system", "user", "assistant", "tool", "developer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that an earlier turn of the assistant made."""

    name: str
    arguments: Mapping[str, Json]
    id: str | None = None
    """None: the row gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a chat. Further fields are empty where the row has none."""

    role: Role
    content: str
    """Empty also where a turn calls tools and says nothing."""
    name: str | None = None
    reasoning: str | None = None
    """What the assistant thought before it answered."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """The call that a message of the role `tool` answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A row of the user's data: the chat to answer, and all other fields for the grader.

    Produced by `data` and `tasks`; consumed by `models.chat`.
    """

    id: str
    messages: tuple[Message, ...]
    item: Mapping[str, Json]
    tools: tuple[Mapping[str, Json], ...] = ()
    """The tools that the model may call, in OpenAI's form for chat functions."""
    place: str = field(default="", compare=False)
    """Its place, such as `train.jsonl line 17`; empty: it was generated, not read from a file."""

    @property
    def label(self) -> str:
        """The name for messages to people."""
        return self.place or f"example {self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """An example as the model reads it.

    `id` is unique within a run: the same example drawn in a later epoch has another one, so it also gets
    other random numbers. Produced by `models.chat`; consumed by the rollout engine.
    """

    id: str
    token_ids: tuple[int, ...]
    item: Mapping[str, Json] = field(repr=False)
    question: str = ""
    """The last message, to show to people."""
    opened: str = ""
    """How the chat template begins the answer, from its first tag on, such as `<think>`; empty: with no tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingBudget:
    """How long a model may think before it has to answer."""

    tokens: int
    """The most tokens of thought that are sampled of an answer."""
    end: str
    """The text that ends the thought then; it closes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to sample. Together with a prompt's id, `seed` and `step` determine every random number."""

    group_size: int
    max_new_tokens: int
    temperature: float = 1.0
    """0 is greedy."""
    stop: tuple[str, ...] = ()
    """A rollout ends with the token that completes one of these; its text ends with the first that is complete."""
    seed: int = 0
    step: int = 0
    thinking: ThinkingBudget | None = None
    """None: a thought may fill the whole answer."""
    is_exact: bool = False
    """Whether to sample from the policy itself even if the engine otherwise samples from an approximation of it."""


class FinishReason(StrEnum):
    """Why a rollout ended."""

    STOP = "stop"
    """The model ended its turn, or wrote a stop text."""
    LENGTH = "length"
    """The token budget ran out: the rollout is truncated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSpan:
    """Consecutive tokens that were sampled from the same weights."""

    version: int
    """The number of optimiser updates that made the weights."""
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One sampled answer. Produced by the rollout engine; graded by a grader; learned from by the learner."""

    prompt: Prompt
    token_ids: tuple[int, ...]
    """Its tokens, including the end-of-turn token if the model wrote it."""
    behaviour_logprobs: tuple[float, ...]
    """The log-probability of each token under the distribution it was drawn from (temperature included). That of a
    forced token is 0: nothing else could be drawn."""
    text: str
    """The answer as the grader sees it: without special tokens, and without the rest of a token behind a stop text."""
    finish_reason: FinishReason
    versions: tuple[VersionSpan, ...] = ()
    """The weights that its tokens were sampled from, in order. Empty: no engine sampled it."""
    forced: tuple[int, ...] = ()
    """The places of tokens that a thinking budget wrote, in order. The policy did not choose them."""
    answer_start: int = 0
    """Where the answer begins in `text`, behind the thought; 0: the model does not think apart from its answers."""
    reasoning_tokens: int | None = None
    """Its tokens inside thoughts, tags not counted; None: the model has no tokens around its thoughts."""

    @property
    def truncated(self) -> bool:
        return self.finish_reason is FinishReason.LENGTH

    @property
    def actions(self) -> Sequence[int]:
        """The places of the tokens that the policy chose, in order: its action tokens."""
        places, forced = range(len(self.token_ids)), frozenset(self.forced)
        return [place for place in places if place not in forced] if forced else places


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The input of a grader: the answer, and the fields of its row."""

    output_text: str
    """What the model wrote, without the thought if it thinks apart from its answers."""
    item: Mapping[str, Json]
    opened: str = ""
    """See `Prompt.opened`."""
    thought: str = ""
    """What the model wrote before `output_text`, tags included. Empty: it does not think apart from its answers."""

    @classmethod
    def of(cls, text: str, item: Mapping[str, Json], *, opened: str = "", answer_start: int = 0) -> Sample:
        """From all that the model wrote, and where its answer begins in it."""
        return cls(output_text=text[answer_start:], thought=text[:answer_start], item=item, opened=opened)


class GradeFault(StrEnum):
    """The faults of grading, with the names of OpenAI's grader API."""

    FORMULA_PARSE = "formula_parse_error"
    """The formula of a multi grader has no finite value for these scores."""
    SAMPLE_PARSE = "sample_parse_error"
    """The grader expects JSON, and the answer is not JSON."""
    TRUNCATED_OBSERVATION = "truncated_observation_error"
    UNRESPONSIVE_REWARD = "unresponsive_reward_error"
    """Grading took longer than allowed."""
    INVALID_VARIABLE = "invalid_variable_error"
    """A template names a field that is not there."""
    OTHER = "other_error"
    PYTHON_SERVER = "python_grader_server_error"
    """The sandbox failed, not the code in it."""
    PYTHON_RUNTIME = "python_grader_runtime_error"
    """The grader's code raised, or returned no finite number."""
    MODEL_SERVER = "model_grader_server_error"
    """The judge could not be reached, or refused."""
    MODEL_REFUSAL = "model_grader_refusal_error"
    MODEL_PARSE = "model_grader_parse_error"
    """The judge's verdict cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """The tokens that a judge read and wrote."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    """The tokens of the prompt that were in the server's cache."""

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            prompt=self.prompt + other.prompt,
            completion=self.completion + other.completion,
            cached=self.cached + other.cached,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The grade of one sample. A grade without a score is *unscorable*, which is not a score of 0."""

    score: float | None
    """None: unscorable, for the `reason` given."""
    reason: str | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    """The named scores that make up the score."""
    format_ok: bool | None = None
    """None: this grader does not judge the format."""
    answer_ok: bool | None = None
    """None: this grader does not judge whether answers are right."""
    faults: frozenset[GradeFault] = frozenset()
    """What went wrong. With a score, it is a fault of the answer: it is not JSON, but the grader expects JSON."""
    seconds: float = 0.0
    """The time to grade this sample, without waiting for others."""
    usage: Mapping[str, TokenUsage] = field(default_factory=dict)
    """The token usage of each judge, by its model."""

    @classmethod
    def unscorable(cls, reason: str, fault: GradeFault = GradeFault.OTHER, seconds: float = 0.0) -> Grade:
        return cls(score=None, reason=reason, faults=frozenset({fault}), seconds=seconds)

    @classmethod
    def failed(cls, reason: str, fault: GradeFault) -> Grade:
        """A score of 0, for an answer without the form that the grader reads."""
        return cls(score=0.0, reason=reason, faults=frozenset({fault}))

    @property
    def valid(self) -> bool:
        return self.score is not None

    def passes(self, pass_score: float | None) -> bool | None:
        """Whether the answer is right, or else whether its score is high enough; None: unknown."""
        if self.score is None:
            return None
        return self.answer_ok if self.answer_ok is not None or pass_score is None else self.score >= pass_score


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One prompt with its rollouts, in the order of their numbers, and, once graded, their grades."""

    prompt: Prompt
    rollouts: tuple[Rollout, ...]
    grades: tuple[Grade, ...] = ()
    """Empty until graded, then one for each rollout."""

    def graded(self, grades: Sequence[Grade]) -> Group:
        return replace(self, grades=tuple(grades))

    def with_more(self, more: Group) -> Group:
        """The group with the rollouts and grades of another one, of the same prompt, behind its own."""
        return replace(self, rollouts=self.rollouts + more.rollouts, grades=self.grades + more.grades)

    def first(self, count: int) -> Group:
        """The group with its first rollouts and grades only."""
        return replace(self, rollouts=self.rollouts[:count], grades=self.grades[:count])


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What one training step did, in numbers; the names are those of `runs.metrics`."""

    step: int
    metrics: Mapping[str, float]
