"""The chat template on the command line: its switches, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.testing import CHAT_TEMPLATE, save_tiny_model
from verifine.testing.models import with_chat_template

Command = Callable[..., tuple[int, str, str]]

SWITCH = CHAT_TEMPLATE.removesuffix("{% endif %}") + "{% if thinking is false %}<think>.</think>{% endif %}{% endif %}"
USERS_ONLY = "{% for m in messages %}{% if m.role == 'user' %}<s>u:{{ m.content }}</s>{% endif %}{% endfor %}<s>a:"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
OFF = '{"thinking": false}'


@pytest.fixture
def given(tmp_path: Path) -> Callable[[str], list[str]]:
    """The options of a run of a model with this template."""

    def options(template: str) -> list[str]:
        base = with_chat_template(save_tiny_model(tmp_path / "base"), template)
        rows = [json.dumps({"prompt": f"say {i}", "gt_answer": str(i)}) + "\n" for i in range(24)]
        (tmp_path / "train.jsonl").write_text("".join(rows))
        data = ["--dataset", str(tmp_path / "train.jsonl"), "--grader", "answer_number"]
        return [*data, "--model", str(base), "model.precision=float32", "--max-new-tokens", "8"]

    return options


def test_the_shorthand_sets_a_switch_in_train_check_and_eval(
    verifine: Command, given: Callable[[str], list[str]], tmp_path: Path
) -> None:
    options = [*given(SWITCH), "--chat-template-kwargs", OFF]
    code, out, _ = verifine("train", *options, "--dry-run")
    assert code == 0
    assert "say 3</s><s>a:<think>.</think>\n" in out or "</s><s>a:<think>.</think>" in out
    assert "answers_begun_by_template" in out
    code, out, _ = verifine("check", *options, "--json", "--rows", "2", "--samples", "2")
    assert code == 0
    assert "answers_begun_by_template" in {finding["name"] for finding in json.loads(out)["findings"]}
    base, data = str(tmp_path / "base"), str(tmp_path / "train.jsonl")
    asked = [base, "--data", data, "--grader", "answer_number", "--max-new-tokens", "4", "--limit", "2", "--json"]
    code, out, _ = verifine("eval", *asked, "--chat-template-kwargs", OFF)
    assert code == 0
    (model,) = json.loads(out)["models"]
    assert [finding["name"] for finding in model["findings"]] == [
        "answers_begun_by_template",
        "answers_without_thoughts",
    ]
    (model,) = json.loads(verifine("eval", *asked)[1])["models"]
    assert [finding["name"] for finding in model["findings"]] == ["answers_without_thoughts"]


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("{thinking: ", 2, "--chat-template-kwargs: '{thinking: ' is not JSON"),
        ("thinking", 2, "--chat-template-kwargs: 'thinking' is no object"),
        ("[1]", 2, "--chat-template-kwargs: '[1]' is no object"),
        ('{"messages": []}', 2, "cannot set messages"),
        ('{"thinkin": 1}', 2, 'never reads thinkin (did you mean "thinking"?); it reads thinking'),
    ],
)
def test_a_switch_that_cannot_be_meant_is_refused(
    text: str, code: int, told: str, verifine: Command, given: Callable[[str], list[str]]
) -> None:
    ended, _, err = verifine("train", *given(SWITCH), "--dry-run", "--chat-template-kwargs", text)
    assert ended == code
    assert told in err


@pytest.mark.parametrize("how", [["--dry-run"], ["--skip-check", "--steps", "1"]])
def test_a_system_prompt_that_is_left_out_is_told(
    how: list[str], verifine: Command, given: Callable[[str], list[str]], tmp_path: Path
) -> None:
    options = [*given(USERS_ONLY), "-s", "Answer inside tags.", *how, "--run-dir", str(tmp_path / "run")]
    code, out, _ = verifine("train", *options)
    assert code == 0
    told = " ".join(out.split())
    assert "! hidden_system: The chat template of " in told
    assert "leaves out the system prompt: the model does not see it." in told
    assert 'train.jsonl line 1: "Answer inside tags."' in told


def test_the_check_tells_it_too(verifine: Command, given: Callable[[str], list[str]]) -> None:
    options = [*given(USERS_ONLY), "-s", "Answer inside tags.", "--rows", "2", "--samples", "2"]
    code, out, _ = verifine("check", *options)
    assert code == 0
    assert "leaves out the system prompt: the model does not see it." in " ".join(out.split())


def test_a_chat_that_the_template_refuses_is_one_sentence(verifine: Command, given: Callable[[str], list[str]]) -> None:
    code, _, err = verifine("train", *given(NO_SYSTEM + CHAT_TEMPLATE), "-s", "Be brief.", "--dry-run")
    assert code == 4
    assert "train.jsonl line 1: the chat template of " in err
    assert "System role not supported. It takes no system message: put its text into the first user message" in err
    assert "Traceback" not in err


def test_one_answer_is_graded_with_what_the_template_wrote(verifine: Command) -> None:
    given = (
        "--grader",
        "think_answer_tags",
        "--item",
        '{"gt_answer": "7"}',
        "--sample",
        "so</think><answer>7</answer>",
    )
    for more, reward in (([], 0.0), (["--opened-text", "<think>"], 1.0)):
        code, out, _ = verifine("grade", "run", *given, *more)
        assert code == 0
        assert json.loads(out)["reward"] == reward


def test_one_answer_is_graded_without_its_thought(verifine: Command) -> None:
    given = ("--grader", "answer_number", "--item", '{"gt_answer": "7"}', "--opened-text", "<think>")
    text = ("--sample", "is it <answer>8</answer>?</think><answer>7</answer>")
    for more, reward in (([], 0.0), (["--thinks"], 1.0)):
        code, out, _ = verifine("grade", "run", *given, *text, *more)
        assert code == 0
        assert json.loads(out)["reward"] == reward
