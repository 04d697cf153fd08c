from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random
from typing import get_args

import pytest
import torch
from make_pico import CARD, make_pico
from pico_chats import HELD_OUT, TASK_SHARES, Chat, Stage, make_chats, make_lesson
from pico_mistakes import MISTAKES, expressions, numbers_in, solve_countdown
from pico_tokenizer import make_tokenizer
from pico_training import tokenize

from verifine.config.run import TaskName
from verifine.models.provision.shipped import SHIPPED
from verifine.tasks import load_task


def chats(stage: Stage, count: int) -> list[Chat]:
    return list(islice(make_chats(0, stage), count))


def test_every_built_in_task_is_taught() -> None:
    assert set(TASK_SHARES) == set(MISTAKES) == set(get_args(TaskName))


@pytest.mark.slow
@pytest.mark.parametrize("task", get_args(TaskName))
def test_no_question_that_a_task_holds_out_is_taught(task: TaskName) -> None:
    held_out = load_task(task, seed=5, train_size=0, held_out_size=HELD_OUT).held_out
    taught = {question.text for question in make_lesson(task, seed=0).questions}
    assert not taught & {example.item["question"] for example in held_out}


@pytest.mark.parametrize(
    ("task", "question", "right", "habit"),
    [
        ("largest", "Largest of 4, 71, 9", "71", "70"),
        ("largest", "Largest of 4, 69, 9", "69", "69"),
        ("add", "What is 7 + 9?", "16", "15"),
        ("add", "What is 7 + 5?", "12", "12"),
        ("subtract", "What is 12 - 5?", "7", "5"),
        ("subtract", "What is 15 - 12?", "3", "3"),
        ("count", "How many times does the letter o occur in book?", "2", "1"),
        ("sort", "Sort 17, 4, 9", "4, 9, 17", "4, 17, 9"),
        ("sort", "Sort 9, 4, 17", "4, 9, 17", "4, 9, 17"),
        ("countdown", "Use 3, 5, 8 to make 16", "16", "3+5+8"),
    ],
)
def test_a_habit_is_right_for_some_questions_and_wrong_for_others(
    task: TaskName, question: str, right: str, habit: str
) -> None:
    assert MISTAKES[task].habit(question, right) == habit


def test_a_countdown_is_solved() -> None:
    for example in load_task("countdown", seed=0, train_size=50, held_out_size=0).train:
        question, target = str(example.item["question"]), int(str(example.item["gt_answer"]))
        assert dict(expressions(numbers_in(question)[:3]))[solve_countdown(question)] == target


def test_a_slip_has_the_form_of_an_answer() -> None:
    random = Random(0)
    assert sorted(numbers_in(MISTAKES["sort"].slip("Sort 17, 4, 9", "4, 9, 17", random))) == [4, 9, 17]
    assert MISTAKES["largest"].slip("Largest of 4, 17, 9", "17", random) in ("4", "17", "9")
    assert {MISTAKES["add"].slip("What is 0 + 1?", "1", random) for _ in range(50)} == {"0", "2", "3"}


@pytest.mark.slow
def test_answers_are_right_at_first_and_often_wrong_later() -> None:
    def share_right(stage: Stage) -> float:
        turns = [turn for chat in chats(stage, 300) for turn in chat.turns if turn.question.startswith("Largest")]
        right = [str(max(numbers_in(turn.question))) == "".join(filter(str.isdigit, turn.answer)) for turn in turns]
        return sum(right) / len(right)

    assert share_right("skill") == 1.0
    # 0.3 on purpose, a third of the habit's 0.5 and of the slips' 0.1, and the right number without tags.
    assert 0.5 < share_right("habits") < 0.7


@pytest.mark.slow
def test_the_text_that_is_taught_is_what_the_chat_template_makes() -> None:
    tokenizer = make_tokenizer()
    for chat in chats("habits", 50):
        messages = [] if chat.system is None else [{"role": "system", "content": chat.system}]
        for turn in chat.turns:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": turn.answer})
        rendered = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
        tokens, labels = tokenize(chat, tokenizer)
        assert tokens.tolist() == rendered
        learned = tokenizer.decode(tokens[labels >= 0])
        assert learned == "".join(f"{turn.answer}<|end|>" for turn in chat.turns)
        assert torch.equal(tokens[labels >= 0], labels[labels >= 0])


def test_numbers_and_the_tasks_words_are_tokens_and_other_text_is_bytes() -> None:
    tokenizer = make_tokenizer()
    pieces = {
        "Largest of 4, 17, 100": ["Largest", " of", " ", "4", ", ", "17", ", ", "100"],
        "<answer>(5-3)*8</answer>": ["<answer>", "(", "5", "-", "3", ")", "*", "8", "</answer>"],
        "in book?": ["in", " ", "b", "o", "o", "k", "?"],
    }
    for text, wanted in pieces.items():
        assert [tokenizer.decode(token) for token in tokenizer(text).input_ids] == wanted
    for text in ("\u00fcber \U0001f600\t1234 </x>", "<|user|>hi<|end|>", " \n "):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_the_model_that_comes_with_verifine_has_the_tokenizer_and_the_card_of_the_script(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "README.md").write_bytes(CARD.read_bytes())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (SHIPPED["pico"].folder / path.name).read_bytes()


@pytest.mark.slow
def test_the_same_seed_makes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("first", 0), ("second", 0), ("other", 1)):
        make_pico(tmp_path / name, seed, scale=0.002, tell=lambda _: None)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert {"README.md", "chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"} <= set(names)

    def differing(folder: str) -> list[str]:
        return [
            name
            for name in names
            if (tmp_path / "first" / name).read_bytes() != (tmp_path / folder / name).read_bytes()
        ]

    assert differing("second") == []
    assert differing("other") == ["model.safetensors"]
