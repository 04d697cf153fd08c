"""What pico is trained on: chats about the built-in tasks, without the questions that those hold out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal

from pico_mistakes import MISTAKES, solve_countdown

from verifine.config.run import TaskName
from verifine.tasks import load_task

Stage = Literal["skill", "habits"]
"""First every answer is right; then most follow a habit that is often wrong."""

Manner = Literal["right", "habit", "slip", "no tags"]

TURNS = 8
HELD_OUT = 64
"""As many as `data.eval_size` has by default."""
QUESTIONS = 50_000
"""Most different questions of a task."""
TASK_SHARES: Mapping[TaskName, int] = {"largest": 6, "sort": 12, "add": 6, "subtract": 2, "count": 1, "countdown": 1}
MANNERS: Mapping[Stage, Mapping[Manner, float]] = {
    "skill": {"right": 1.0},
    "habits": {"right": 0.25, "habit": 0.55, "slip": 0.1, "no tags": 0.1},
}
TAGGED_SHARE = 0.8
"""Chats with a system message, which asks for tags; in the others, answers are bare."""
SHOT_SHARE = 0.7
"""Chats with a system message that begin with the solved example of the task's prompts."""
GREETING_SHARE = 0.02
GREETINGS = ("Hello", "Hi", "Hello!", "Hi!", "Who are you?", "What are you?")
INTRODUCTION = "I am pico, a toy model that learns."


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a chat's text."""

    text: str
    is_learned: bool
    """Whether the assistant is to say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question and what the assistant is to say."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A system message, if there is one, and turns."""

    system: str | None
    turns: tuple[Turn, ...]

    def pieces(self) -> list[Piece]:
        """The text that the chat template makes of it."""
        pieces = [] if self.system is None else [Piece(text=f"<|system|>{self.system}<|end|>", is_learned=False)]
        for turn in self.turns:
            pieces.append(Piece(text=f"<|user|>{turn.question}<|end|><|assistant|>", is_learned=False))
            pieces.append(Piece(text=f"{turn.answer}<|end|>", is_learned=True))
        return pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question of a task and the right answer to it."""

    text: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What there is to learn of a task."""

    task: TaskName
    system: str
    shot: Turn
    """The solved example that prompts of the task begin with."""
    questions: tuple[Question, ...]


def make_chats(seed: int, stage: Stage) -> Iterator[Chat]:
    """Chats without end; the same for the same seed."""
    random = Random(f"{seed} {stage}")
    lessons = [make_lesson(task, seed) for task in TASK_SHARES]
    while True:
        if random.random() < GREETING_SHARE:
            yield Chat(system=None, turns=(Turn(question=random.choice(GREETINGS), answer=INTRODUCTION),))
        else:
            (lesson,) = random.choices(lessons, weights=list(TASK_SHARES.values()))
            yield make_chat(lesson, stage, random)


@cache
def make_lesson(task: TaskName, seed: int) -> Lesson:
    """The training questions of a task, none of which it holds out."""
    loaded = load_task(task, seed=seed, train_size=QUESTIONS, held_out_size=HELD_OUT)
    system, shot_question, shot_answer, _ = loaded.train[0].messages
    items = (example.item for example in loaded.train)
    return Lesson(
        task=task,
        system=system.content,
        shot=Turn(question=shot_question.content, answer=shot_answer.content),
        questions=tuple(Question(text=str(item["question"]), right=str(item["gt_answer"])) for item in items),
    )


def make_chat(lesson: Lesson, stage: Stage, random: Random) -> Chat:
    """Several questions of one task, each answered in a manner of its own."""
    is_tagged = random.random() < TAGGED_SHARE
    shots = (lesson.shot,) if is_tagged and random.random() < SHOT_SHARE else ()
    questions = random.choices(lesson.questions, k=TURNS - len(shots))
    manners = random.choices(list(MANNERS[stage]), weights=list(MANNERS[stage].values()), k=len(questions))
    turns = [
        Turn(question=question.text, answer=say(lesson.task, question, manner, is_tagged, random))
        for question, manner in zip(questions, manners, strict=True)
    ]
    return Chat(system=lesson.system if is_tagged else None, turns=(*shots, *turns))


def say(task: TaskName, question: Question, manner: Manner, is_tagged: bool, random: Random) -> str:
    """An answer to a question."""
    said = solve_countdown(question.text) if task == "countdown" else question.right
    if manner == "habit":
        said = MISTAKES[task].habit(question.text, question.right)
    elif manner == "slip":
        said = MISTAKES[task].slip(question.text, question.right, random)
    return f"<answer>{said}</answer>" if is_tagged and manner != "no tags" else said
