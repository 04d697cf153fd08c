"""From a RunConfig and a few facts to a ResolvedConfig, in which everything is decided. Nothing is read or measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from verifine.config.algorithm import AlgorithmConfig, CriticConfig, RewardConfig
from verifine.config.graders import Schema
from verifine.config.loading import build_config
from verifine.config.memory import AvailableMemory, MemoryNeeds, MemoryPlan, ModelShape, Precision, plan_memory
from verifine.config.run import DataConfig, ModelConfig, OptimConfig, RunConfig
from verifine.config.sampling import SamplingConfig

SMALL_MODEL_PARAMETERS = 1_000_000_000
SMALL_MODEL_RATE, LARGE_MODEL_RATE = 1e-5, 1e-6
SMALL_LORA_RATE, LARGE_LORA_RATE = 1e-4, 1e-5

IMPORTANCE_CAP = 2.0

HEAD_RATE_FACTOR = 50
"""How much faster a value head learns than the trunk under it: it starts at 0 and has nothing to forget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What has to be known of the model that a run starts from."""

    name: str
    """As the config has it, but a folder is an absolute path."""
    shape: ModelShape
    context_length: int
    """Tokens that the model reads."""
    has_experts: bool = False
    """Whether it is a mixture of experts, which is trained in float32 only: rounding would change a token's experts."""
    learning_rate: float | None = None
    """What `optim.learning_rate: auto` means for it; None: it follows from the model's size."""
    start_from: Path | None = None
    """The checkpoint that was found at `model.start_from`; None: none was looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What has to be known of the machine that a run is on."""

    working_directory: Path
    memory: AvailableMemory
    """Where the model is trained."""
    precision: Precision
    """The one that the config asks for, or the one that matrix products are faster in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What has to be known of the data that a run learns from."""

    answer_tokens: int
    """Longest answer, in tokens, unless the config says otherwise."""
    longest_prompt: int
    """In tokens; 0 while it is unknown."""


class ResolvedModel(ModelConfig):
    """`model`, decided."""

    precision: Precision


class ResolvedCritic(CriticConfig):
    """`algorithm.critic`, decided."""

    learning_rate: float


class ResolvedAlgorithm(AlgorithmConfig):
    """`algorithm`, decided; `clip_low`, `importance_cap` and `critic` are null where there is no such thing."""

    clip_high: float
    critic: ResolvedCritic | None


class ResolvedReward(RewardConfig):
    """`reward`, decided; `scaling` is null where the algorithm has a scaling of its own."""

    overlong_share: float


class ResolvedSampling(SamplingConfig):
    """`sampling`, decided."""

    max_new_tokens: int


class ResolvedOptim(OptimConfig):
    """`optim`, decided."""

    learning_rate: float
    micro_batch_tokens: int


class ResolvedConfig(RunConfig):
    """A whole run, decided: it means the same on every machine and in every folder.

    Two settings are left to the machine that a run is on, since they change how fast it is and not what it learns:
    `grading.workers` and `run.save_interval`.
    """

    model: ResolvedModel
    algorithm: ResolvedAlgorithm
    reward: ResolvedReward
    sampling: ResolvedSampling
    optim: ResolvedOptim
    memory: MemoryPlan = Field(exclude=True)
    """Not part of what a user writes: a checkpoint keeps it."""

    def to_run_config(self) -> RunConfig:
        """The config that a user would write to get this one."""
        return build_config(self.model_dump(mode="json"))

    def memory_needs(self, shape: ModelShape) -> MemoryNeeds:
        """What this run's use of memory follows from."""
        return MemoryNeeds.of(self, shape, precision=self.model.precision, max_new_tokens=self.sampling.max_new_tokens)


def resolve(
    config: RunConfig, model: ModelFacts, machine: MachineFacts, data: DataFacts, *, memory: MemoryPlan | None = None
) -> ResolvedConfig:
    """Decides everything that a config leaves open.

    `memory` is how a run divided memory before it was resumed; None: it is planned.
    """
    precision = config.model.precision
    if precision == "auto":
        precision = "float32" if model.has_experts else machine.precision
    max_new_tokens = longest_answer(config, data.answer_tokens, model.context_length)
    needs = MemoryNeeds.of(config, model.shape, precision=precision, max_new_tokens=max_new_tokens)
    tokens = config.optim.micro_batch_tokens
    plan = plan_memory(needs, data.longest_prompt, machine.memory, tokens) if memory is None else memory
    start_from = model.start_from or config.model.start_from
    return _with(
        ResolvedConfig,
        config,
        model=_with(
            ResolvedModel,
            config.model,
            name=model.name,
            precision=precision,
            start_from=None if start_from is None else machine.working_directory / start_from,
        ),
        data=_with(DataConfig, config.data, **absolute_places(config.data, machine.working_directory)),
        algorithm=_resolve_algorithm(config, model),
        reward=_with(ResolvedReward, config.reward.decided(config.algorithm.recipe, pools=config.sampling.draws_pools)),
        sampling=_with(ResolvedSampling, config.sampling.decided(), max_new_tokens=max_new_tokens),
        optim=_with(
            ResolvedOptim,
            config.optim,
            learning_rate=_learning_rate(config, model),
            micro_batch_tokens=plan.micro_batch_tokens,
        ),
        memory=plan,
    )


def absolute_places(data: DataConfig, folder: Path) -> Mapping[str, object]:
    """Paths that mean the same from every folder; a dataset on the hub is named as it is."""
    places = {"train": data.train, "eval": data.eval}
    return {name: folder / place if isinstance(place, Path) else place for name, place in places.items()}


def longest_answer(config: RunConfig, default: int, context_length: int) -> int:
    """How many tokens an answer may have.

    `default` is that of the data, and a model of a small context keeps half of it for the prompt. What the config says
    is never changed.
    """
    given = config.sampling.max_new_tokens
    return min(default, max(1, context_length // 2)) if given is None else given


def _resolve_algorithm(config: RunConfig, model: ModelFacts) -> ResolvedAlgorithm:
    algorithm = config.algorithm.decided()
    # Where sampling is not exact, a sampled token is weighed by how likely the learner finds it.
    cap = None if config.engine.is_exact else IMPORTANCE_CAP
    return _with(
        ResolvedAlgorithm,
        algorithm,
        importance_cap=cap if algorithm.importance_cap is None else algorithm.importance_cap,
        critic=None if algorithm.critic is None else _resolve_critic(algorithm.critic, config, model),
    )


def _resolve_critic(critic: CriticConfig, config: RunConfig, model: ModelFacts) -> ResolvedCritic:
    rate = critic.learning_rate
    if rate == "auto":
        # A critic has no adapters, so its rate follows from that of full training.
        full_rate = default_learning_rate(model.shape.own_parameters, lora=False)
        policy_rate = _learning_rate(config, model) if config.model.lora is None else full_rate
        rate = policy_rate * (HEAD_RATE_FACTOR if critic.kind == "head" else 1)
    return _with(ResolvedCritic, critic, learning_rate=rate)


def default_learning_rate(parameters: int, *, lora: bool) -> float:
    """What `optim.learning_rate: auto` means for a model of so many parameters, without adapters."""
    is_small = parameters < SMALL_MODEL_PARAMETERS
    if lora:
        return SMALL_LORA_RATE if is_small else LARGE_LORA_RATE
    return SMALL_MODEL_RATE if is_small else LARGE_MODEL_RATE


def _learning_rate(config: RunConfig, model: ModelFacts) -> float:
    if config.optim.learning_rate != "auto":
        return config.optim.learning_rate
    if model.learning_rate is not None:
        return model.learning_rate
    return default_learning_rate(model.shape.own_parameters, lora=config.model.lora is not None)


SectionT = TypeVar("SectionT", bound=Schema)


def _with(schema: type[SectionT], section: Schema, **decided: object) -> SectionT:
    """The section as `schema` has it, with what was decided."""
    return schema.model_validate({**dict(section), **decided})
