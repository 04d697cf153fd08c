"""From a RunConfig to the parts of a run: the only place that knows every implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from verifine.algorithms.recipes import RECIPES, Algorithm
from verifine.config import AlgorithmConfig, DataConfig, GraderConfig, OptimConfig, RunConfig
from verifine.data import hold_out, read_examples
from verifine.errors import DataError
from verifine.graders import Grader
from verifine.learner.local import LocalLearner
from verifine.learner.optim import OptimSettings
from verifine.models.chat import render_prompt
from verifine.models.load import LanguageModel
from verifine.rollout.native import NativeEngine
from verifine.tasks import load_task
from verifine.train.source import PromptSource
from verifine.train.trainer import Trainer
from verifine.types import Example, Prompt, Sampling

TASK_EXAMPLES = 4096
"""Problems that a built-in task trains on, unless it has fewer."""

MAX_NEW_TOKENS = 256
"""Longest answer to data of the user's own, unless the config says otherwise."""

SMALL_MODEL_PARAMETERS = 1_000_000_000
SMALL_MODEL_RATE, LARGE_MODEL_RATE = 1e-5, 1e-6

SHOWN_PROBLEMS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What a run is made from, read and checked; no model is loaded yet."""

    config: RunConfig
    """Everything resolved that does not depend on the model."""
    train: Sequence[Example]
    held_out: Sequence[Example]
    grader: GraderConfig | None
    """None: the caller brings a grader of its own."""


def gather(config: RunConfig) -> Materials:
    """Reads the data a config names.

    Raises:
        DataError: a file is not what it should be, or holds too little.
    """
    if config.data.task is not None:
        task = load_task(
            config.data.task, seed=config.run.seed, train_size=TASK_EXAMPLES, held_out_size=config.data.eval_size
        )
        return Materials(
            config=_with_answer_length(config, task.max_new_tokens),
            train=task.train,
            held_out=task.held_out,
            grader=task.grader,
        )
    assert config.data.train is not None
    examples = read_examples(config.data.train)
    if config.data.eval is not None:
        train, held_out = examples, read_examples(config.data.eval)[: config.data.eval_size]
    else:
        train, held_out = hold_out(examples, config.run.seed, config.data.eval_size)
    if len(train) < config.sampling.prompts_per_step:
        raise DataError(
            f"{config.data.train} leaves {len(train)} examples to train on, fewer than the "
            f"{config.sampling.prompts_per_step} of one step. Add examples or lower sampling.prompts_per_step."
        )
    return Materials(
        config=_with_answer_length(config, MAX_NEW_TOKENS), train=train, held_out=held_out, grader=config.grader
    )


def assemble(
    materials: Materials,
    model: LanguageModel,
    grader: Grader,
    reference: LanguageModel | None,
    clock: Callable[[], float],
) -> tuple[Trainer, list[Prompt]]:
    """The trainer, and the held-out prompts.

    Raises:
        DataError: an example's prompt does not fit the model.
    """
    config = materials.config
    assert config.sampling.max_new_tokens is not None
    train = _render(model, materials.train, config.sampling.max_new_tokens)
    held_out = _render(model, materials.held_out, config.sampling.max_new_tokens)
    trainer = Trainer(
        source=PromptSource(materials.train, train, config.run.seed),
        engine=NativeEngine(model),
        grader=grader,
        algorithm=build_algorithm(config.algorithm),
        learner=LocalLearner(model, _optim_settings(config.optim), config.sampling.temperature, reference),
        sampling=Sampling(
            group_size=config.sampling.group_size,
            max_new_tokens=config.sampling.max_new_tokens,
            temperature=config.sampling.temperature,
            stop=config.sampling.stop,
            seed=config.run.seed,
        ),
        prompts_per_step=config.sampling.prompts_per_step,
        max_resample=config.algorithm.max_resample,
        clock=clock,
    )
    return trainer, [replace(prompt, id=f"held-out/{prompt.id}") for prompt in held_out.values()]


def _render(model: LanguageModel, examples: Iterable[Example], max_new_tokens: int) -> dict[str, Prompt]:
    """The prompts of examples by their ids, or every problem with them at once."""
    prompts: dict[str, Prompt] = {}
    problems: list[str] = []
    for example in examples:
        try:
            prompts[example.id] = render_prompt(model, example, max_new_tokens)
        except DataError as error:
            problems.append(str(error))
    if problems:
        hidden = len(problems) - SHOWN_PROBLEMS
        more = [f"... and {hidden} more"] if hidden > 0 else []
        raise DataError("\n".join([*problems[:SHOWN_PROBLEMS], *more]))
    return prompts


def _optim_settings(config: OptimConfig) -> OptimSettings:
    assert config.learning_rate != "auto"
    return OptimSettings(
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        betas=config.betas,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        micro_batch_tokens=config.micro_batch_tokens,
    )


def build_algorithm(config: AlgorithmConfig) -> Algorithm:
    """An algorithm's row of the table, with what the config changes."""
    row = RECIPES[config.name]
    loss = replace(
        row.loss,
        clip_low=row.loss.clip_low if config.clip_low is None else config.clip_low,
        clip_high=row.loss.clip_high if config.clip_high is None else config.clip_high,
        beta=config.beta,
    )
    share = row.overlong_share if config.overlong_share is None else config.overlong_share
    return replace(row, loss=loss, overlong_share=share, drops_truncated=config.drop_truncated)


def resolve(config: RunConfig, model: LanguageModel) -> RunConfig:
    """The config with everything said that the model, the machine and the algorithm's row decide."""
    algorithm = build_algorithm(config.algorithm)
    rate = SMALL_MODEL_RATE if model.parameter_count < SMALL_MODEL_PARAMETERS else LARGE_MODEL_RATE
    decided_algorithm = {
        "clip_low": algorithm.loss.clip_low,
        "clip_high": algorithm.loss.clip_high,
        "overlong_share": algorithm.overlong_share,
    }
    return config.model_copy(
        update={
            "model": config.model.model_copy(update={"precision": str(model.compute_dtype).removeprefix("torch.")}),
            "data": _absolute(config.data),
            "algorithm": config.algorithm.model_copy(update=decided_algorithm),
            "optim": config.optim.model_copy(update={"learning_rate": rate})
            if config.optim.learning_rate == "auto"
            else config.optim,
        }
    )


def _absolute(data: DataConfig) -> DataConfig:
    paths = {"train": data.train, "eval": data.eval}
    return data.model_copy(update={name: path and path.resolve() for name, path in paths.items()})


def _with_answer_length(config: RunConfig, default: int) -> RunConfig:
    if config.sampling.max_new_tokens is not None:
        return config
    sampling = config.sampling.model_copy(update={"max_new_tokens": default})
    return config.model_copy(update={"sampling": sampling})
