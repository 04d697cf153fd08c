"""The held-out rows of a run, and the scores that its grader gives to what is said in a chat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

from verifine.config import AnyGrader, RunConfig
from verifine.config.graders import (
    EndpointGraderConfig,
    MultiGraderConfig,
    PythonGraderConfig,
    WeightedGraderConfig,
)
from verifine.config.graders.template import reads_item
from verifine.errors import DataError, VerifineError
from verifine.graders import Grader, Services, build_grader, grade_samples
from verifine.graders.probes import find_references
from verifine.launch.eval_spec import EvalTarget, has_program_grader
from verifine.launch.inputs import MAX_NEW_TOKENS, RunInputs, load_inputs
from verifine.runs.directory import RunDirectory
from verifine.serving.conversation import Reply
from verifine.types import Example, Grade, Message, Sample


def scores_without_row(config: AnyGrader) -> bool:
    """Whether the grader looks at nothing but the answer, so that it can score an answer to any question."""
    match config:
        case MultiGraderConfig() | WeightedGraderConfig():
            return all(scores_without_row(part) for part in config.graders.values())
        case PythonGraderConfig() | EndpointGraderConfig():
            return False  # they are given the whole row
    return not any(reads_item(template) for template in config.traits.templates)


@dataclass(frozen=True)
class ChatGrading:
    """What a run brings to a chat."""

    rows: Sequence[Example] = ()
    """Those that the run held out."""
    grader: Grader | None = None
    config: AnyGrader | None = None
    """That of the grader."""
    notes: Sequence[str] = field(default=())
    """What is missing, and why."""

    @cached_property
    def opening(self) -> tuple[Message, ...]:
        """The messages that every row begins with, such as a system message and a worked example."""
        starts = [row.messages[:-1] for row in self.rows]
        same = takewhile(lambda turns: all(turn == turns[0] for turn in turns), zip(*starts, strict=False))
        return tuple(turns[0] for turns in same)

    @cached_property
    def _by_question(self) -> Mapping[str, Example]:
        """The rows that have a single question after the opening, by its text."""
        found: dict[str, Example] = {}
        for row in self.rows:
            turns = self.after_opening(row)
            if len(turns) == 1 and turns[0].role == "user" and not row.tools:
                found.setdefault(turns[0].content.strip(), row)
        return found

    def after_opening(self, row: Example) -> tuple[Message, ...]:
        """The messages of a row that others do not have."""
        return row.messages[len(self.opening) :]

    @property
    def scores_anything(self) -> bool:
        """Whether answers to questions that are no rows are scored too."""
        return self.config is not None and scores_without_row(self.config)

    def find_row(self, question: str) -> Example | None:
        """The row that asks just this."""
        return self._by_question.get(question.strip())

    def references(self, row: Example) -> list[str]:
        """The right answers of a row, as far as the grader names them."""
        return [] if self.config is None else find_references(self.config.traits, row.item)

    def grade(self, row: Example | None, replies: Sequence[Reply]) -> list[Grade | None]:
        """One for each answer to a question; `row` None: the question is not a row. None: it is not scored."""
        if self.grader is None or (row is None and not self.scores_anything):
            return [None for _ in replies]
        item = {} if row is None else row.item
        samples = [
            Sample.of(reply.text, item, opened=reply.opened, answer_start=reply.answer_start) for reply in replies
        ]
        return [*grade_samples(self.grader, samples)]


def load_chat_inputs(config: RunConfig) -> tuple[RunInputs, Sequence[str]]:
    """The inputs of a run, without rows if its data is not there any more; and what is missing."""
    try:
        return load_inputs(config), ()
    except DataError as error:
        notes = [f"the held-out rows cannot be read: {error}"]
    return RunInputs(config=config, train=(), held_out=(), grader=config.grader, answer_tokens=MAX_NEW_TOKENS), notes


@contextmanager
def open_chat_grading(
    run: RunDirectory, inputs: RunInputs, notes: Sequence[str], services: Services
) -> Iterator[ChatGrading]:
    """The rows and the grader of a run. A chat needs no grader, so one that cannot be used is a note."""
    rows = list(inputs.held_out)
    if has_program_grader(EvalTarget(label=run.path.name, model=str(run.model), run=run)):
        note = "answers are not scored: a Python program graded the run with a function of its own, which is not saved"
        yield ChatGrading(rows=rows, notes=[*notes, note])
    elif inputs.grader is not None:
        with _open(inputs.grader, services.for_run(inputs.config.grading)) as (grader, faults):
            config = None if grader is None else inputs.grader
            yield ChatGrading(rows=rows, grader=grader, config=config, notes=[*notes, *faults])


@contextmanager
def _open(config: AnyGrader, services: Services) -> Iterator[tuple[Grader | None, Sequence[str]]]:
    """The grader, or why it cannot be used."""
    try:
        grader = build_grader(config, services)
    except VerifineError as error:
        yield None, [f"answers are not scored: {error}"]
        return
    with closing(grader):
        yield grader, ()
