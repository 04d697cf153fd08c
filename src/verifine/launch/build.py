"""From the inputs of a run to its parts: the only place that knows every implementation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from verifine.algorithms.algorithm import Algorithm, build_algorithm
from verifine.config import AlgorithmConfig, CriticConfig, DataConfig, OptimConfig, RunConfig
from verifine.data import Problems
from verifine.errors import DataError
from verifine.graders import Grader
from verifine.insights.rescoring import HELD_OUT
from verifine.launch.inputs import RunInputs
from verifine.launch.run_graders import RunGraders
from verifine.launch.warm_start import find_start, take_over_weights
from verifine.learner.critic import Critic, CriticModel, ValueHead
from verifine.learner.local import LocalLearner
from verifine.learner.optim import OptimSettings
from verifine.learner.reference import FrozenModel, Reference, WithoutAdapters
from verifine.machine.threads import decide_threads
from verifine.models.available import available_memory
from verifine.models.chat import render_prompt
from verifine.models.load import LanguageModel, load_model
from verifine.models.lora import attach_lora
from verifine.models.oom import OomCounter
from verifine.models.policy import ModelPolicy
from verifine.models.provision import ProvisionedModel, cache_folder, provision_model
from verifine.models.quantized import QuantizedCopy
from verifine.models.shape import shape_of_config
from verifine.models.threads import use_threads
from verifine.rollout.canary import Canary, make_probes, probe_interval, tolerance
from verifine.rollout.engine import RolloutEngine
from verifine.rollout.native.native_engine import NativeEngine
from verifine.training.evaluate import EvalSet, eval_sampling
from verifine.training.memory import MemoryPlan
from verifine.training.planner import plan
from verifine.training.run import Observer
from verifine.training.source import PromptSource
from verifine.training.state import RunState
from verifine.training.trainer import Trainer
from verifine.types import Example, Prompt, Sampling

SMALL_MODEL_PARAMETERS = 1_000_000_000
SMALL_MODEL_RATE, LARGE_MODEL_RATE = 1e-5, 1e-6
SMALL_LORA_RATE, LARGE_LORA_RATE = 1e-4, 1e-5

IMPORTANCE_CAP = 2.0

HEAD_RATE_FACTOR = 50
"""How much faster a value head learns than the trunk under it: it starts at 0 and has nothing to forget."""


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
class BuiltRun:
    """A run that can begin."""

    config: RunConfig
    """Resolved."""
    source: ProvisionedModel
    """The model's files."""
    start: str | None
    """The sha256 of the checkpoint that the weights were taken from; None: they are the model's own."""
    model: LanguageModel
    budget: MemoryPlan
    trainer: Trainer
    eval_set: EvalSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A trainer, and what it was put together from."""

    config: RunConfig
    """With the micro-batches that were planned."""
    budget: MemoryPlan
    trainer: Trainer
    held_out: list[Prompt]


def fetch_model(config: RunConfig, observer: Observer) -> ProvisionedModel:
    """The files of the model that a run starts from.

    Raises:
        ModelError: they are not there and cannot be fetched.
    """
    return provision_model(config.model.name, cache_folder(), observer.progress)


def build_run(
    inputs: RunInputs,
    graders: RunGraders,
    files: ProvisionedModel,
    observer: Observer,
    *,
    resumed: RunState | None = None,
) -> BuiltRun:
    """Loads the model and puts everything together.

    `resumed` is the state of a run whose weights are restored later, and which divides memory as it did before.

    Raises:
        VerifineError: the model or the data cannot be used.
    """
    use_threads(decide_threads(), os.environ)
    observer.stage("loading the model")
    model = _load(files, inputs.config)
    config = resolve(inputs.config, model)
    start = None
    if resumed is None and config.model.start_from is not None:
        start = find_start(config.model.start_from)
        take_over_weights(model.network, start)
        config = _starting_from(config, start.folder)
    auxiliary = AuxiliaryModels.wanted(config, lambda: _load_copy(files, model))
    budget = None if resumed is None else resumed.budget
    assembly = assemble_trainer(
        replace(inputs, config=config), model, graders.grader, auxiliary, time.monotonic, budget
    )
    return BuiltRun(
        config=assembly.config,
        source=files,
        start=None if start is None else start.sha256,
        model=model,
        budget=assembly.budget,
        trainer=assembly.trainer,
        eval_set=build_eval_set(assembly.config, graders, assembly.trainer.engine, assembly.held_out),
    )


def build_eval_set(config: RunConfig, graders: RunGraders, engine: RolloutEngine, prompts: Sequence[Prompt]) -> EvalSet:
    """Held-out prompts, asked and judged as `config.evaluation` says."""
    evaluation = config.evaluation
    return EvalSet(
        prompts=prompts,
        engine=engine,
        grader=graders.grader,
        second_grader=graders.second,
        sampling=eval_sampling(sampling_of(config), evaluation.samples, evaluation.temperature),
        pass_score=evaluation.passing(graders.config),
    )


def _load(files: ProvisionedModel, config: RunConfig) -> LanguageModel:
    model, lora = load_model(files, config.model.precision), config.model.lora
    if lora is not None:
        return attach_lora(model, lora.rank, lora.alpha, lora.targets, config.run.seed)
    return model


def _starting_from(config: RunConfig, folder: Path) -> RunConfig:
    """The config with the very checkpoint that the weights were taken from."""
    return config.model_copy(update={"model": config.model.model_copy(update={"start_from": folder})})


def _load_copy(files: ProvisionedModel, model: LanguageModel) -> LanguageModel:
    """A second copy of the starting model, computed with as the first one is."""
    return replace(load_model(files, "float32"), compute_dtype=model.compute_dtype)


def assemble_trainer(
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
        engine=NativeEngine(model, budget.cache_bytes, oom_counter, quantized=_quantized_copy(config, model)),
        grader=grader,
        algorithm=algorithm,
        learner=_build_learner(config, budget, model, auxiliary, oom_counter),
        canary=_build_canary(model, sampling, config.sampling.prompts_per_step),
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


def _build_canary(model: LanguageModel, sampling: Sampling, prompts_per_step: int) -> Canary:
    return Canary(
        ModelPolicy(model),
        make_probes(model.tokenizer, model.vocabulary_size),
        sampling,
        tolerance(model.compute_dtype, sampling),
        probe_interval(prompts_per_step * sampling.group_size * sampling.max_new_tokens),
    )


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


def _quantized_copy(config: RunConfig, model: LanguageModel) -> QuantizedCopy | None:
    return QuantizedCopy(model.network, head=True) if config.sampling.precision == "int8" else None


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

    What depends on the prompts as well is left to `assemble_trainer`.
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
            "algorithm": _with_importance_cap(config, _with_critic_rate(config.algorithm.decided(), full_rate)),
            "reward": config.reward.decided(config.algorithm.recipe),
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
