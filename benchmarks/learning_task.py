"""What TRL takes from Verifine in benchmarks/learning.py: examples in their order, grader and held-out problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from learning_config import quickstart_config
from learning_curve import Setup
from model_folders import model_folder

from verifine.config import NativeEngineConfig
from verifine.config.resolve import ResolvedConfig
from verifine.data import PromptSampler
from verifine.graders import Grader, grade_samples
from verifine.launch.build import build_engine, build_eval_set, fetch_model, render_held_out, sampling_of
from verifine.launch.facts import find_facts
from verifine.launch.inputs import load_inputs
from verifine.launch.options import DEFAULT_OPTIONS
from verifine.launch.run_graders import open_graders
from verifine.models.answer_text import AnswerText
from verifine.models.chat.prompt import render_prompt
from verifine.models.load import Weights, load_model
from verifine.runs.events import RunEvent
from verifine.training.evaluate import EvalSet, evaluate_policy
from verifine.types import Example, Prompt, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningTask:
    """The quickstart's task for a trainer that is not Verifine's."""

    folder: Path
    """The model's."""
    config: ResolvedConfig
    examples: Sequence[Example]
    """In the order in which Verifine draws them."""
    prompts: Sequence[Prompt]
    """The same, rendered."""
    grader: Grader
    answer_text: AnswerText
    eval_set: EvalSet

    def score(self, positions: Sequence[int], answers: Sequence[Sequence[int]]) -> list[float | None]:
        """Verifine's grades of answers, given as tokens, to the prompts at `positions`; None: unscorable."""
        prompts = [self.prompts[position] for position in positions]
        samples = [
            Sample(output_text=self.answer_text.of(token_ids), item=prompt.item, opened=prompt.opened)
            for prompt, token_ids in zip(prompts, answers, strict=True)
        ]
        return [grade.score for grade in grade_samples(self.grader, samples)]

    def accuracy_of(self, weights: Weights) -> float:
        """Held-out accuracy, measured by Verifine's engine with these weights."""
        self.eval_set.engine.load_weights(weights, version=0)
        return held_out_accuracy(self.eval_set)


@contextmanager
def open_task(setup: Setup, seed: int) -> Iterator[LearningTask]:
    inputs = load_inputs(quickstart_config(setup, seed, str(model_folder(setup.model))))
    files = fetch_model(inputs.config, ignore)
    facts = find_facts(inputs, files)
    model = load_model(files, facts.machine.precision)
    longest = inputs.max_new_tokens(model.context_length)
    examples = [draw.example for draw in PromptSampler(inputs.train, seed).draw(0, len(inputs.train))]
    with (
        open_graders(inputs, None, DEFAULT_OPTIONS.services()) as graders,
        closing(build_engine(NativeEngineConfig(), model)) as engine,
    ):
        config = facts.resolve(inputs.config)
        held_out = render_held_out(inputs.held_out, model, longest)
        yield LearningTask(
            folder=files.folder,
            config=config,
            examples=examples,
            prompts=[*map(partial(render_prompt, model, max_new_tokens=longest), examples)],
            grader=graders.grader,
            answer_text=AnswerText(model.tokenizer, model.stop_token_ids, config.sampling.stop),
            eval_set=build_eval_set(config.evaluation, sampling_of(config, longest), graders, engine, held_out),
        )


def held_out_accuracy(eval_set: EvalSet) -> float:
    accuracy = evaluate_policy(eval_set, "held-out").answer_accuracy
    assert accuracy is not None, "the graders of the built-in tasks tell right from wrong"
    return accuracy


def ignore(_: RunEvent) -> None:
    """A listener that tells nobody."""
