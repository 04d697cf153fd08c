"""Builds the parts of a run from its inputs: the only module that knows every implementation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from verifine.algorithms.algorithm import Algorithm, build_algorithm
from verifine.config import EngineConfig, EvaluationConfig, RunConfig, SamplingConfig
from verifine.config.graders import CALLABLE_TRAITS
from verifine.config.memory import CACHE_BYTES, MemoryPlan, Precision
from verifine.config.resolve import ResolvedConfig, ResolvedCritic, ResolvedOptim
from verifine.data import Problems, asking_chance
from verifine.errors import DataError
from verifine.graders import Grader
from verifine.insights.rescoring import HELD_OUT
from verifine.launch.facts import RunFacts
from verifine.launch.inputs import RunInputs
from verifine.launch.run_graders import RunGraders
from verifine.launch.warm_start import Start, find_start, load_start_weights
from verifine.learner.critic import Critic, CriticModel, ValueHead
from verifine.learner.local import LocalLearner
from verifine.learner.optim import OptimSettings
from verifine.learner.reference import FrozenModel, Reference, WithoutAdapters
from verifine.models.chat.prompt import prompt_tokens, render_prompt
from verifine.models.load import LanguageModel, load_model
from verifine.models.memory.oom import OomCounter
from verifine.models.network.lora import attach_lora, hold_frozen_weights
from verifine.models.network.quantized import QuantizedCopy
from verifine.models.policy import ModelPolicy
from verifine.models.provision.cache import cache_folder
from verifine.models.provision.stored import ProvisionedModel, provision_model
from verifine.models.thinking import ThinkingLimit
from verifine.models.threads import in_own_thread
from verifine.rollout.canary import Canary, make_probes, probe_interval
from verifine.rollout.engine import RolloutEngine
from verifine.rollout.native.native_engine import NativeEngine
from verifine.runs.events import Listener, StageBegan, tell_progress
from verifine.training.evaluate import EvalSet, eval_sampling
from verifine.training.source import PromptSource
from verifine.training.state import RunState
from verifine.training.trainer import Allocation, Rounds, Trainer
from verifine.types import Example, Prompt, Sampling, ThinkingBudget


@dataclass(frozen=True, slots=True, kw_only=True)
class RunModels:
    """The models of a run."""

    policy: LanguageModel
    """The one that learns."""
    reference: LanguageModel | None = None
    """A frozen copy of the starting model; None: there is no KL penalty, or it is the policy without its adapters."""
    critic: LanguageModel | None = None
    """None: there is no critic, or it is a head on the policy's own trunk."""

    @classmethod
    def around(cls, policy: LanguageModel, config: RunConfig, load: Callable[[], LanguageModel]) -> RunModels:
        """Loads the copies of the starting model that `config` asks for."""
        critic = config.algorithm.critic
        return cls(
            policy=policy,
            reference=load() if config.algorithm.beta and config.model.lora is None else None,
            critic=load() if critic is not None and critic.kind == "model" else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRun:
    """A run that is ready to begin."""

    config: ResolvedConfig
    files: ProvisionedModel
    """The files of the model that it starts from."""
    start: str | None
    """The sha256 of the checkpoint with the starting weights; None: they are the model's own."""
    model: LanguageModel
    trainer: Trainer
    eval_set: EvalSet

    def close(self) -> None:
        """Frees what the engine holds."""
        self.trainer.engine.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A trainer, the held-out prompts, and the config that both were built from."""

    config: ResolvedConfig
    trainer: Trainer
    held_out: list[Prompt]


def fetch_model(config: RunConfig, tell: Listener) -> ProvisionedModel:
    """The files of the model that a run starts from.

    Raises:
        ModelError: they are not there and cannot be fetched.
    """
    return provision_model(config.model.name, cache_folder(), partial(tell_progress, tell))


def build_run(
    inputs: RunInputs,
    graders: RunGraders,
    files: ProvisionedModel,
    facts: RunFacts,
    tell: Listener,
    *,
    resumed: RunState | None = None,
) -> BuiltRun:
    """Loads the model and puts everything together.

    `resumed` is the state of a run to continue: its memory plan is used again, and its weights are restored later.

    Raises:
        VerifineError: the model or the data cannot be used.
    """
    config, start = inputs.config, None
    tell(StageBegan(text="loading the model"))
    if resumed is None and config.model.start_from is not None:
        start = find_start(config.model.start_from)
        facts = facts.starting_from(start.folder)
    policy = load_policy(files, config, facts.machine.precision, start)
    models = RunModels.around(policy, config, lambda: _load_copy(files, policy))
    memory = None if resumed is None else resumed.memory
    assembly = assemble_trainer(inputs, facts, models, graders.grader, memory=memory)
    sampling = sampling_of(assembly.config, assembly.config.sampling.max_new_tokens)
    return BuiltRun(
        config=assembly.config,
        files=files,
        start=None if start is None else start.sha256,
        model=policy,
        trainer=assembly.trainer,
        eval_set=build_eval_set(config.evaluation, sampling, graders, assembly.trainer.engine, assembly.held_out),
    )


def build_eval_set(
    evaluation: EvaluationConfig,
    sampling: Sampling,
    graders: RunGraders,
    engine: RolloutEngine,
    prompts: Sequence[Prompt],
) -> EvalSet:
    """Held-out prompts, asked and judged as the config's `evaluation` says; `sampling` is that of training."""
    deciding = evaluation.grader or graders.config
    return EvalSet(
        prompts=prompts,
        engine=engine,
        grader=graders.grader,
        second_grader=graders.second,
        sampling=eval_sampling(sampling, evaluation.samples, evaluation.temperature),
        pass_score=evaluation.passing(graders.config),
        traits=CALLABLE_TRAITS if deciding is None else deciding.traits,
    )


@in_own_thread
def load_policy(
    files: ProvisionedModel, config: RunConfig, precision: Precision, start: Start | None = None
) -> LanguageModel:
    """The model that learns, with the adapters that `config` asks for.

    `start` is the checkpoint that its weights come from. None: they are those of `files`.

    Raises:
        ModelError: it cannot be loaded, or has no layers of the adapters' names.
        SetupError: a package that `model.lora.base_bits` needs is not installed.
        CheckpointError: `start` is the checkpoint of another model.
    """
    lora, values = config.model.lora, config.model.chat_template_kwargs
    base_bits = None if lora is None else lora.base_bits
    model = load_model(files, precision, template_values=values, base_bits=base_bits)
    if lora is not None:
        model = attach_lora(model, lora.rank, lora.alpha, lora.targets, config.run.seed, rslora=lora.rslora)
        if config.engine.is_exact:  # a quantised copy is made of what transformers runs
            hold_frozen_weights(model)
    if start is not None:
        load_start_weights(model.network, start)
    return model


def _load_copy(files: ProvisionedModel, policy: LanguageModel) -> LanguageModel:
    """A second copy of the starting model, with the settings of the first."""
    return load_model(files, "float32").with_compute_dtype(policy.compute_dtype)


def assemble_trainer(
    inputs: RunInputs,
    facts: RunFacts,
    models: RunModels,
    grader: Grader,
    *,
    memory: MemoryPlan | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Assembly:
    """Measures the prompts, resolves the config with them, and builds the trainer. `memory` None: it is planned.

    Raises:
        DataError: an example's prompt does not fit the model.
    """
    model, longest = models.policy, inputs.max_new_tokens(models.policy.context_length)
    ThinkingLimit.of(model, sampling_of(inputs.config, longest))  # A budget that cannot be kept is reported first.
    source = _build_source(inputs, model, longest)
    lengths = source.measure()  # Prompts that do not fit are reported before anything is sampled.
    held_out = render_held_out(inputs.held_out, model, longest)
    config = facts.with_longest_prompt(lengths.longest).resolve(inputs.config, memory)
    oom_counter = OomCounter()
    algorithm = build_algorithm(
        config.algorithm, config.reward, pools=config.sampling.draws_pools, advantages=inputs.advantages
    )
    sampling = sampling_of(config, longest)
    learner = _build_learner(config, algorithm, models, oom_counter)
    canary = _build_canary(model, sampling, config.sampling.prompts_per_step)
    trainer = Trainer(
        source=source,
        # Last: it may hold what only `close` frees.
        engine=build_engine(config.engine, model, config.memory.cache_bytes, oom_counter),
        grader=grader,
        algorithm=algorithm,
        learner=learner,
        canary=canary,
        sampling=sampling,
        prompts_per_step=config.sampling.prompts_per_step,
        max_resample=config.algorithm.max_resample,
        groups=_build_groups(config.sampling),
        epochs=config.algorithm.epochs,
        mini_batches=config.algorithm.mini_batches,
        subsample=config.algorithm.subsample,
        clock=clock,
        pass_score=config.evaluation.passing_in_training(inputs.grader),
    )
    return Assembly(config=config, trainer=trainer, held_out=held_out)


def _build_groups(sampling: SamplingConfig) -> Rounds | Allocation | None:
    rounds, size, most = sampling.rounds, sampling.group_size, sampling.most_at_once
    if rounds is not None:
        rights, wrongs = (rounds.positives, 0) if rounds.until == "positive" else (size // 2, size - size // 2)
        return Rounds(answers=most, most=rounds.rounds, rights=rights, wrongs=wrongs)
    return None if sampling.allocation is None else Allocation(least=sampling.allocation.least, most=most)


def _build_source(inputs: RunInputs, model: LanguageModel, max_new_tokens: int) -> PromptSource:
    sampling, chance = inputs.config.sampling, None
    if sampling.skip is not None:
        chance = partial(asking_chance, group_size=sampling.group_size, floor=sampling.skip.floor)
    return PromptSource(
        inputs.train,
        partial(render_prompt, model, max_new_tokens=max_new_tokens),
        inputs.config.run.seed,
        chance,
        lambda example: len(prompt_tokens(model, example, max_new_tokens)),
    )


def sampling_of(config: RunConfig, max_new_tokens: int) -> Sampling:
    """The sampling of the answers to learn from."""
    budget = config.sampling.thinking_token_budget
    return Sampling(
        group_size=config.sampling.group_size,
        max_new_tokens=max_new_tokens,
        temperature=config.sampling.temperature,
        stop=config.sampling.stop,
        seed=config.run.seed,
        thinking=None if budget is None else ThinkingBudget(tokens=budget, end=config.sampling.thinking_end),
    )


def render_held_out(examples: Iterable[Example], model: LanguageModel, max_new_tokens: int) -> list[Prompt]:
    """The prompts of held-out examples, with ids that differ from those of training prompts.

    Raises:
        DataError: a prompt does not fit the model.
    """
    prompts, problems = [], Problems()
    for example in examples:
        try:
            prompt = render_prompt(model, example, max_new_tokens)
            prompts.append(replace(prompt, id=f"{HELD_OUT}{prompt.id}"))
        except DataError as error:
            problems.add_cause(str(error), example.label)
    problems.check()
    return prompts


def _build_canary(model: LanguageModel, sampling: Sampling, prompts_per_step: int) -> Canary:
    return Canary(
        ModelPolicy(model),
        make_probes(model.tokenizer, model.vocabulary.size),
        sampling,
        probe_interval(prompts_per_step * sampling.group_size * sampling.max_new_tokens),
    )


def _build_learner(
    config: ResolvedConfig, algorithm: Algorithm, models: RunModels, oom_counter: OomCounter
) -> LocalLearner:
    settings = _optim_settings(config.optim)
    return LocalLearner(
        models.policy,
        settings,
        config.sampling.temperature,
        reference=_build_reference(algorithm, models),
        critic=_build_critic(config.algorithm.critic, settings, models),
        estimates_old=config.algorithm.updates_per_step > 1 or algorithm.penalises_in_reward,
        entropy_min_p=config.algorithm.entropy_min_p,
        recompute=config.memory.recompute,
        oom_counter=oom_counter,
    )


def build_engine(
    config: EngineConfig, model: LanguageModel, cache_bytes: int = CACHE_BYTES, oom_counter: OomCounter | None = None
) -> RolloutEngine:
    """The engine that samples from `model`.

    Raises:
        ModelError: this machine cannot sample in the precision of `config`.
    """
    quantized = (
        None
        if config.is_exact
        else QuantizedCopy(model.network, model.vocabulary, head=True, compute_dtype=model.compute_dtype)
    )
    return NativeEngine(model, cache_bytes, oom_counter, quantized=quantized)


def _build_reference(algorithm: Algorithm, models: RunModels) -> Reference | None:
    if not algorithm.needs_reference:
        return None
    return WithoutAdapters(models.policy) if models.reference is None else FrozenModel(models.reference)


def _build_critic(config: ResolvedCritic | None, settings: OptimSettings, models: RunModels) -> Critic | None:
    if config is None:
        return None
    own = replace(settings, learning_rate=config.learning_rate)
    return ValueHead(models.policy, own) if models.critic is None else CriticModel(models.critic, own)


def _optim_settings(config: ResolvedOptim) -> OptimSettings:
    return OptimSettings(
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        betas=config.betas,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        micro_batch_tokens=config.micro_batch_tokens,
    )
