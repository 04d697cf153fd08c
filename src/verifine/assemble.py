"""From a RunConfig to the parts of a run: the only place that knows every implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from verifine.algorithms.configured import build_algorithm, decided_algorithm, decided_reward
from verifine.algorithms.recipes import Algorithm
from verifine.config import AlgorithmConfig, CriticConfig, DataConfig, GraderConfig, OptimConfig, RunConfig
from verifine.data import Problems, hold_out, read_examples
from verifine.errors import DataError
from verifine.graders import Grader
from verifine.insights.rescoring import HELD_OUT
from verifine.learner.critic import Critic, CriticModel, ValueHead
from verifine.learner.local import LocalLearner
from verifine.learner.optim import OptimSettings
from verifine.learner.reference import FrozenModel, Reference, WithoutAdapters
from verifine.models.available import available_memory
from verifine.models.chat import render_prompt
from verifine.models.load import LanguageModel
from verifine.models.oom import OomCounter
from verifine.models.quantized import QuantizedTwin
from verifine.models.shape import shape_of_config
from verifine.rollout.canary import Canary, probe_interval
from verifine.rollout.native import NativeEngine
from verifine.tasks import load_task
from verifine.training.memory import MemoryPlan
from verifine.training.planner import plan
from verifine.training.source import PromptSource
from verifine.training.trainer import Trainer
from verifine.types import Example, Prompt, Sampling

TASK_EXAMPLES = 4096
"""Problems that a built-in task trains on, unless it has fewer."""

MAX_NEW_TOKENS = 256
"""Longest answer to data of the user's own, unless the config says otherwise."""

SMALL_MODEL_PARAMETERS = 1_000_000_000
SMALL_MODEL_RATE, LARGE_MODEL_RATE = 1e-5, 1e-6
SMALL_LORA_RATE, LARGE_LORA_RATE = 1e-4, 1e-5

IMPORTANCE_CAP = 2.0

HEAD_RATE_FACTOR = 50
"""How much faster a value head learns than the trunk under it: it starts at 0 and has nothing to forget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """What a run is made from, read and checked; no model is loaded yet."""

    config: RunConfig
    """Everything resolved that does not depend on the model."""
    train: Sequence[Example]
    held_out: Sequence[Example]
    grader: GraderConfig | None
    """None: the caller brings a grader of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuxiliaryModels:
    """Further copies of the starting model that an algorithm works with."""

    reference: LanguageModel | None = None
    """None: no KL penalty, or the model itself without its adapters is the reference."""
    critic: LanguageModel | None = None
    """None: no critic, or one that is a head on the model's own trunk."""

    @classmethod
    def wanted(cls, config: RunConfig, load: Callable[[], LanguageModel]) -> AuxiliaryModels:
        """Loads what `config` asks for."""
        critic = config.algorithm.critic
        return cls(
            reference=load() if config.algorithm.beta and config.model.lora is None else None,
            critic=load() if critic is not None and critic.kind == "model" else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A run put together."""

    config: RunConfig
    """With the micro-batches that were planned."""
    budget: MemoryPlan
    trainer: Trainer
    held_out: list[Prompt]


def load_inputs(config: RunConfig) -> RunInputs:
    """Reads the data a config names.

    Raises:
        DataError: a file is not what it should be, or holds too little.
    """
    if config.data.task is not None:
        task = load_task(
            config.data.task, seed=config.run.seed, train_size=TASK_EXAMPLES, held_out_size=config.data.eval_size
        )
        return RunInputs(
            config=_with_answer_length(config, task.max_new_tokens),
            train=task.train,
            held_out=task.held_out,
            grader=task.grader,
        )
    assert config.data.train is not None
    examples = read_examples(config.data.train, config.data.columns, config.data.system_prompt)
    train: Sequence[Example]
    held_out: Sequence[Example]
    if config.data.eval is not None:
        given = read_examples(config.data.eval, config.data.columns, config.data.system_prompt)
        train, held_out = examples, given[: config.data.eval_size]
    else:
        learned, held = hold_out(examples.fingerprints, config.run.seed, config.data.eval_size)
        train, held_out = examples.select(learned), examples.select(held)
    if len(train) < config.sampling.prompts_per_step:
        raise DataError(
            f"{config.data.train} leaves {len(train)} examples to train on, fewer than the "
            f"{config.sampling.prompts_per_step} of one step. Add examples or lower sampling.prompts_per_step."
        )
    return RunInputs(
        config=_with_answer_length(config, MAX_NEW_TOKENS), train=train, held_out=held_out, grader=config.grader
    )


def assemble(
    inputs: RunInputs,
    model: LanguageModel,
    grader: Grader,
    auxiliary: AuxiliaryModels,
    clock: Callable[[], float],
    budget: MemoryPlan | None = None,
) -> Assembly:
    """The trainer, and the held-out prompts. `inputs.config` is resolved but for what depends on the prompts.

    `budget` None: planned from the memory there is.

    Raises:
        DataError: an example's prompt does not fit the model.
    """
    config = inputs.config
    assert config.sampling.max_new_tokens is not None
    render = partial(render_prompt, model, max_new_tokens=config.sampling.max_new_tokens)
    source = PromptSource(inputs.train, render, config.run.seed)
    lengths = source.measure()  # A prompt that does not fit is told before anything is sampled, not when it is drawn.
    held_out = render_held_out(inputs.held_out, model, config.sampling.max_new_tokens)
    if budget is None:
        shape = shape_of_config(model.network.config, config.model.lora)
        budget = plan(config, shape, lengths.longest, available_memory(model.device))
    oom_counter = OomCounter()
    algorithm = build_algorithm(config.algorithm, config.reward)
    sampling = sampling_of(config)
    trainer = Trainer(
        source=source,
        engine=NativeEngine(model, budget.cache_bytes, oom_counter, twin=_build_twin(config, model)),
        grader=grader,
        algorithm=algorithm,
        learner=_build_learner(config, budget, model, auxiliary, oom_counter),
        canary=Canary(model, sampling, probe_interval(config.sampling.prompts_per_step * _tokens_a_prompt(sampling))),
        sampling=sampling,
        prompts_per_step=config.sampling.prompts_per_step,
        max_resample=config.algorithm.max_resample,
        epochs=config.algorithm.epochs,
        mini_batches=config.algorithm.mini_batches,
        clock=clock,
    )
    optim = config.optim.model_copy(update={"micro_batch_tokens": budget.micro_batch_tokens})
    return Assembly(
        config=config.model_copy(update={"optim": optim}),
        budget=budget,
        trainer=trainer,
        held_out=held_out,
    )


def sampling_of(config: RunConfig) -> Sampling:
    """How a run samples answers to learn from; it is decided by then how long they may be."""
    assert config.sampling.max_new_tokens is not None
    return Sampling(
        group_size=config.sampling.group_size,
        max_new_tokens=config.sampling.max_new_tokens,
        temperature=config.sampling.temperature,
        stop=config.sampling.stop,
        seed=config.run.seed,
        in_int8=config.sampling.precision == "int8",
    )


def _tokens_a_prompt(sampling: Sampling) -> int:
    """At most."""
    return sampling.group_size * sampling.max_new_tokens


def _build_learner(
    config: RunConfig, budget: MemoryPlan, model: LanguageModel, auxiliary: AuxiliaryModels, oom_counter: OomCounter
) -> LocalLearner:
    algorithm = build_algorithm(config.algorithm, config.reward)
    settings = _optim_settings(config.optim, budget)
    return LocalLearner(
        model,
        settings,
        config.sampling.temperature,
        reference=_build_reference(algorithm, model, auxiliary),
        critic=_build_critic(config.algorithm.critic, settings, model, auxiliary),
        estimates_old=config.algorithm.updates_per_step > 1 or algorithm.penalises_in_reward,
        recompute=budget.recompute,
        oom_counter=oom_counter,
    )


def _build_twin(config: RunConfig, model: LanguageModel) -> QuantizedTwin | None:
    return QuantizedTwin(model.network, head=True) if config.sampling.precision == "int8" else None


def _build_reference(algorithm: Algorithm, model: LanguageModel, auxiliary: AuxiliaryModels) -> Reference | None:
    if not algorithm.needs_reference:
        return None
    return WithoutAdapters(model) if auxiliary.reference is None else FrozenModel(auxiliary.reference)


def _build_critic(
    config: CriticConfig | None, settings: OptimSettings, model: LanguageModel, auxiliary: AuxiliaryModels
) -> Critic | None:
    if config is None:
        return None
    assert config.learning_rate != "auto"
    own = replace(settings, learning_rate=config.learning_rate)
    return ValueHead(model, own) if auxiliary.critic is None else CriticModel(auxiliary.critic, own)


def render_held_out(examples: Iterable[Example], model: LanguageModel, max_new_tokens: int) -> list[Prompt]:
    """The prompts of held-out examples, with ids that no prompt of a step has.

    Raises:
        DataError: prompts that do not fit the model, the first of them by name.
    """
    prompts, problems = [], Problems()
    for example in examples:
        try:
            prompt = render_prompt(model, example, max_new_tokens)
            prompts.append(replace(prompt, id=f"{HELD_OUT}{prompt.id}"))
        except DataError as error:
            problems.add(str(error))
    problems.check()
    return prompts


def _optim_settings(config: OptimConfig, budget: MemoryPlan) -> OptimSettings:
    assert config.learning_rate != "auto"
    return OptimSettings(
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        betas=config.betas,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        micro_batch_tokens=budget.micro_batch_tokens,
    )


def resolve(config: RunConfig, model: LanguageModel) -> RunConfig:
    """The config with everything said that the model, the machine and the algorithm's row decide.

    What depends on the prompts as well is left to `assemble`.
    """
    rate = _learning_rate(config, model)
    # With LoRA the policy's rate is that of its adapters, which a critic does not have.
    full_rate = rate if config.model.lora is None else _full_rate(model)
    return config.model_copy(
        update={
            "model": config.model.model_copy(
                update={
                    "name": _absolute_folder(config.model.name),
                    "start_from": None if config.model.start_from is None else config.model.start_from.resolve(),
                    "precision": str(model.compute_dtype).removeprefix("torch."),
                }
            ),
            "data": _absolute(config.data),
            "algorithm": _with_importance_cap(
                config, _with_critic_rate(decided_algorithm(config.algorithm), full_rate)
            ),
            "reward": decided_reward(config.reward, config.algorithm.name),
            "optim": config.optim.model_copy(update={"learning_rate": rate}),
        }
    )


def _learning_rate(config: RunConfig, model: LanguageModel) -> float:
    if config.optim.learning_rate != "auto":
        return config.optim.learning_rate
    if config.model.lora is None:
        return _full_rate(model)
    return SMALL_LORA_RATE if _is_small(model) else LARGE_LORA_RATE


def _full_rate(model: LanguageModel) -> float:
    return SMALL_MODEL_RATE if _is_small(model) else LARGE_MODEL_RATE


def _is_small(model: LanguageModel) -> bool:
    return model.parameter_count < SMALL_MODEL_PARAMETERS


def _with_critic_rate(config: AlgorithmConfig, full_rate: float) -> AlgorithmConfig:
    critic = config.critic
    if critic is None or critic.learning_rate != "auto":
        return config
    rate = full_rate * (HEAD_RATE_FACTOR if critic.kind == "head" else 1)
    return config.model_copy(update={"critic": critic.model_copy(update={"learning_rate": rate})})


def _with_importance_cap(config: RunConfig, algorithm: AlgorithmConfig) -> AlgorithmConfig:
    """Where sampling is not exact, what was sampled is weighed by how likely the learner finds it."""
    if config.sampling.precision == "same" or algorithm.importance_cap is not None:
        return algorithm
    return algorithm.model_copy(update={"importance_cap": IMPORTANCE_CAP})


def _absolute_folder(name: str) -> str:
    """A model's folder by a path that means the same from everywhere; another name as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.is_dir() else name


def _absolute(data: DataConfig) -> DataConfig:
    """Paths that mean the same from every folder; a dataset on the hub is called as it is."""
    places = {"train": data.train, "eval": data.eval}
    return data.model_copy(
        update={name: place.resolve() if isinstance(place, Path) else place for name, place in places.items()}
    )


def _with_answer_length(config: RunConfig, default: int) -> RunConfig:
    if config.sampling.max_new_tokens is not None:
        return config
    sampling = config.sampling.model_copy(update={"max_new_tokens": default})
    return config.model_copy(update={"sampling": sampling})
