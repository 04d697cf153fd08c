from __future__ import annotations

import re
from fractions import Fraction
from itertools import permutations
from typing import get_args

import pytest

from verifine.config.run import TaskName
from verifine.errors import ConfigError
from verifine.graders import build_grader
from verifine.graders.arithmetic import evaluate_arithmetic
from verifine.tasks import Task, load_task
from verifine.tasks.countdown import countdown
from verifine.types import Example, Message, Sample

NAMES: tuple[TaskName, ...] = get_args(TaskName)

every_task = pytest.mark.parametrize("name", NAMES)


def load(name: TaskName, seed: int = 0) -> Task:
    return load_task(name, seed=seed, train_size=300, held_out_size=64)


def questions(examples: tuple[Example, ...]) -> list[str]:
    return [example.messages[-1].content for example in examples]


def answer(example: Example) -> str:
    value = example.item["gt_answer"]
    assert isinstance(value, str)
    return value


def score(task: Task, example: Example, text: str) -> float | None:
    (grade,) = build_grader(task.grader).grade([Sample(output_text=text, item=example.item)])
    return grade.score


@every_task
def test_no_question_is_asked_twice_nor_both_trained_on_and_held_out(name: TaskName) -> None:
    task = load(name)
    everything = task.held_out + task.train
    assert len(set(questions(everything))) == len(everything)
    assert len({example.id for example in everything}) == len(everything)


@every_task
def test_the_solved_example_of_the_prompt_is_not_asked(name: TaskName) -> None:
    task = load_task(name, seed=0, train_size=2000, held_out_size=64)
    assert all(example.messages[1].content != example.messages[-1].content for example in task.train + task.held_out)


@every_task
def test_the_seed_decides_the_training_examples_and_never_the_held_out_ones(name: TaskName) -> None:
    assert load(name, seed=1) == load(name, seed=1)
    assert load(name, seed=1).train != load(name, seed=2).train
    assert load(name, seed=1).held_out == load(name, seed=2).held_out


@every_task
def test_a_smaller_held_out_set_is_the_beginning_of_a_larger_one(name: TaskName) -> None:
    small = load_task(name, seed=0, train_size=1, held_out_size=10)
    assert small.held_out == load(name).held_out[:10]


@every_task
def test_the_prompt_is_a_chat_with_one_solved_example(name: TaskName) -> None:
    for example in load(name).train:
        system, shot, solved, question = example.messages
        assert [turn.role for turn in example.messages] == ["system", "user", "assistant", "user"]
        assert "inside <answer></answer>" in system.content
        assert re.fullmatch(r"<answer>.+</answer>", solved.content)
        assert re.sub(r"[0-9]+|letter . occur in \w+", "", shot.content) == re.sub(
            r"[0-9]+|letter . occur in \w+", "", question.content
        )
        assert example.item["question"] == question.content


@pytest.mark.parametrize("name", [name for name in NAMES if name != "countdown"])
def test_the_grader_knows_the_right_answer(name: TaskName) -> None:
    task = load(name)
    for example in task.train:
        assert score(task, example, f"<answer>{answer(example)}</answer>") == 1.0
        assert score(task, example, "<answer>-1</answer>") == 0.1
        assert score(task, example, answer(example)) == 0.0


@pytest.mark.parametrize(
    ("name", "shot", "solved"),
    [
        ("largest", "Largest of 4, 17, 9", "17"),
        ("add", "What is 7 + 5?", "12"),
        ("subtract", "What is 12 - 5?", "7"),
        ("count", "How many times does the letter o occur in book?", "2"),
        ("sort", "Sort 17, 4, 9", "4, 9, 17"),
        ("countdown", "Use 3, 5, 8 to make 16", "(5-3)*8"),
    ],
)
def test_the_solved_example_is_right(name: TaskName, shot: str, solved: str) -> None:
    example = load(name).train[0]
    assert example.messages[1:3] == (
        Message(role="user", content=shot),
        Message(role="assistant", content=f"<answer>{solved}</answer>"),
    )


def _numbers(example: Example) -> list[int]:
    return [int(digits) for digits in re.findall(r"[0-9]+", example.messages[-1].content)]


def test_largest_asks_for_the_largest_of_three_different_numbers() -> None:
    for example in load("largest").train:
        numbers = _numbers(example)
        assert len(set(numbers)) == 3
        assert set(numbers) <= set(range(1, 100))
        assert int(answer(example)) == max(numbers)


def test_largest_draws_every_number_in_every_place() -> None:
    triples = [_numbers(example) for example in load_task("largest", seed=0, train_size=3000, held_out_size=0).train]
    assert [set(column) for column in zip(*triples, strict=True)] == [set(range(1, 100))] * 3


def test_sort_asks_for_rising_order() -> None:
    for example in load("sort").train:
        assert answer(example) == ", ".join(str(number) for number in sorted(_numbers(example)))
        assert len(set(_numbers(example))) == 3


def test_add_has_440_questions_beside_its_solved_example_and_the_held_out_come_first() -> None:
    task = load_task("add", seed=0, train_size=1000, held_out_size=64)
    assert (len(task.train), len(task.held_out)) == (376, 64)
    assert {tuple(_numbers(example)) for example in task.train + task.held_out} == {
        (first, second) for first in range(21) for second in range(21)
    } - {(7, 5)}
    assert all(int(answer(example)) == sum(_numbers(example)) for example in task.train)
    assert load_task("add", seed=0, train_size=5, held_out_size=1000).train == ()


def test_subtract_never_goes_below_zero() -> None:
    task = load_task("subtract", seed=0, train_size=1000, held_out_size=64)
    assert len(task.train) + len(task.held_out) == 21 * 22 // 2 - 1
    for example in task.train:
        larger, smaller = _numbers(example)
        assert int(answer(example)) == larger - smaller >= 0


def test_count_asks_for_letters_of_many_words_with_no_answer_for_most() -> None:
    task = load_task("count", seed=0, train_size=5000, held_out_size=0)
    words, answers = set(), []
    for example in task.train:
        match = re.fullmatch(r"How many times does the letter (\w) occur in (\w+)\?", example.messages[-1].content)
        assert match is not None
        letter, word = match.groups()
        assert answer(example) == str(sum(each == letter for each in word))
        words.add(word)
        answers.append(answer(example))
    assert len(words) >= 150
    assert all(answers.count(each) < 0.4 * len(answers) for each in set(answers))


def _expressions(numbers: list[int]) -> list[str]:
    """Every way to combine three numbers, written out."""
    return [
        text
        for a, b, c in permutations(numbers)
        for first in "+-*/"
        for second in "+-*/"
        for text in (f"({a}{first}{b}){second}{c}", f"{a}{first}({b}{second}{c})")
    ]


def test_countdown_asks_for_every_target_that_its_numbers_reach() -> None:
    problems = countdown()
    questions_there_are = {problems.problem(index).question for index in range(problems.size)}
    assert len(questions_there_are) == problems.size
    for numbers in ([3, 5, 8], [4, 7, 7], [2, 6, 15]):
        values = {evaluated.value for text in _expressions(numbers) if (evaluated := evaluate_arithmetic(text))}
        listed = ", ".join(map(str, numbers))
        asked = {target for target in range(-50, 500) if f"Use {listed} to make {target}" in questions_there_are}
        assert asked == values & set(range(1, 101))


def test_every_countdown_target_can_be_reached_and_the_grader_sees_it() -> None:
    task = load("countdown")
    for example in task.train[:50] + task.held_out:
        *numbers, target = _numbers(example)
        assert example.item["numbers"] == numbers
        assert answer(example) == str(target)
        assert all(1 <= number <= 20 for number in numbers)
        values = {text: evaluated.value for text in _expressions(numbers) if (evaluated := evaluate_arithmetic(text))}
        solution = next(text for text, value in values.items() if value == Fraction(target))
        wrong = next(text for text, value in values.items() if value != Fraction(target))
        assert score(task, example, f"<answer>{solution}</answer>") == 1.0
        assert score(task, example, f"<answer>{wrong}</answer>") == 0.1
        assert score(task, example, f"<answer>{target}</answer>") == 0.1


def test_an_unknown_task_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match=r'"lagest".*"largest"\?.*largest, add, subtract, count, sort, countdown'):
        load_task("lagest", seed=0, train_size=1, held_out_size=1)  # type: ignore[arg-type]
