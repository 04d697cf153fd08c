"""`verifine grade test` on the rows of a dataset."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from verifine.types import Json

Command = Callable[..., tuple[int, str, str]]

TEXT, GOLD = "{{ sample.output_text }}", "{{ item.gt_answer }}"


def check(operation: str = "eq", reference: str = GOLD, text: str = TEXT) -> dict[str, Json]:
    return {"type": "string_check", "name": "check", "input": text, "reference": reference, "operation": operation}


def python(body: str, **fields: Json) -> dict[str, Json]:
    return {"type": "python", "source": f"def grade(sample, item):\n    {body}\n", **fields}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def write_rows(path: Path, *items: Mapping[str, Json]) -> Path:
    rows = [{"messages": [{"role": "user", "content": f"question {n}"}], **item} for n, item in enumerate(items)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def capitals(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "capitals.jsonl", *({"gt_answer": name} for name in ("Paris", "Rome", "Lima", "Oslo")))


def tried(verifine: Command, *words: object) -> dict[str, Any]:
    code, out, err = verifine("grade", "test", *map(str, words), "--json")
    assert (code, err) == (0, "")
    return dict(json.loads(out))


def test_the_right_answer_in_the_right_form_stands_beside_nothing_and_nonsense(
    verifine: Command, capitals: Path
) -> None:
    told = tried(verifine, "--grader", "answer_exact", "--data", capitals)
    assert told["grader"] == {"name": "answer_exact", "type": "answer"}
    assert list(told["scores"]) == ["right answer", "empty text", "nonsense"]
    right, empty, nonsense = told["scores"].values()
    assert (right["count"], right["mean"], right["share_at_highest"], right["answer_accuracy"]) == (4, 1.0, 1.0, 1.0)
    assert (empty["mean"], nonsense["mean"]) == (0.0, 0.0)
    assert right["histogram"] == [0] * 9 + [4]
    assert empty["histogram"] == nonsense["histogram"] == [4] + [0] * 9
    assert told["best_ways"] == {"<answer>": 4}
    assert told["graded"] == 4 * 6
    assert told["agreement"] is None


def test_people_get_a_histogram_and_what_it_says(
    verifine: Command, capitals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    code, out, err = verifine("grade", "test", "--grader", "answer_exact", "--data", capitals)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == f"answer_exact (answer) on 4 rows of {capitals}"
    assert lines[2].split() == ["score", "right", "answer", "empty", "text", "nonsense"]
    assert lines[3] == f"0.00 to 0.10{' ' * 29}{'█' * 20} 4  {'█' * 20} 4"
    assert lines[12].startswith(f"0.90 to 1.00     {'█' * 20} 4")
    assert "The right answer scores 1.00 in every row." in out
    assert "the way that scores most counts (<answer> 4)." in " ".join(out.split())
    assert max(map(len, lines[1:])) <= 100
    assert "Careful" not in out
    assert "Errors" not in out


def test_a_terminal_of_60_columns_is_not_overrun(
    verifine: Command, capitals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = verifine("grade", "test", "--grader", "answer_exact", "--data", capitals)
    bars = [line for line in out.splitlines() if "█" in line]
    assert bars
    assert max(map(len, bars)) <= 60


def test_rows_where_nothing_scores_like_the_right_answer_are_named(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"}, {"gt_answer": "anything"})
    body = "return float(item['gt_answer'] == 'anything' or item['gt_answer'] in sample['output_text'])"
    spec = write(tmp_path / "g.json", python(body))
    _, out, _ = verifine("grade", "test", "--grader", spec, "--data", data)
    assert "Careful: empty text and nonsense score as much as the right answer in 1 of 2 rows (line 2);" in " ".join(
        out.split()
    )


def test_a_grader_that_pays_for_anything_or_knows_no_form_tried_is_told_of(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"}, {"gt_answer": "Rome"})
    pattern: dict[str, Json] = {"type": "format", "pattern": "#### .*"}
    _, out, _ = verifine("grade", "test", "--grader", write(tmp_path / "g.json", pattern), "--data", data)
    told = " ".join(out.split())
    assert "Careful: empty text and nonsense score as much as the right answer in every row." in told
    assert "write an answer that it should reward into a field model_sample" in told


def test_rows_that_reward_the_right_answer_less_are_named(
    verifine: Command, held: Sequence[str], tmp_path: Path
) -> None:
    data = write_rows(
        tmp_path / "d.jsonl", {"gt_answer": "a", "w": 1}, {"gt_answer": "b", "w": 0.5}, {"gt_answer": "c"}
    )
    grader = python("return item['w'] * (sample['output_text'] == item['gt_answer'])")
    _, out, _ = verifine("grade", "test", "--grader", write(tmp_path / "g.json", grader), "--data", data, *held)
    told = " ".join(out.split())
    assert "The right answer scores 1.00, and less in 2 rows (line 3: unscorable, line 2: 0.50)." in told
    assert "KeyError" in out.partition("Errors\n")[2]


def test_a_row_may_bring_the_answer_to_grade(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(
        tmp_path / "d.jsonl",
        {"gt_answer": "a", "model_sample": "b", "mine": "a"},
        {"gt_answer": "a", "output_text": "a", "mine": "a"},
    )
    spec = write(tmp_path / "g.json", check())
    told = tried(verifine, "--grader", spec, "--data", data)
    assert list(told["scores"]) == ["own answer", "empty text", "nonsense"]
    assert told["scores"]["own answer"]["mean"] == 0.5
    told = tried(verifine, "--grader", spec, "--data", data, "--answer-field", "mine")
    assert told["scores"]["own answer"]["mean"] == 1.0
    code, _, err = verifine("grade", "test", "--grader", spec, "--data", data, "--answer-field", "mien")
    assert (code, 'no row has a text called "mien" (did you mean "mine"?)' in err) == (4, True)


def test_rows_with_and_without_an_answer_of_their_own_are_told_apart(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "a", "model_sample": "b"}, {"gt_answer": "a"})
    told = tried(verifine, "--grader", write(tmp_path / "g.json", check()), "--data", data)
    counts = {name: (scores["count"], scores["mean"]) for name, scores in told["scores"].items()}
    assert counts == {"own answer": (1, 0.0), "right answer": (1, 1.0), "empty text": (2, 0.0), "nonsense": (2, 0.0)}


def test_own_answers_that_all_score_the_same_teach_nothing(verifine: Command, tmp_path: Path) -> None:
    rows: list[dict[str, Json]] = [{"gt_answer": "a", "model_sample": "b"}] * 3
    data = write_rows(tmp_path / "d.jsonl", *rows)
    _, out, _ = verifine("grade", "test", "--grader", write(tmp_path / "g.json", check()), "--data", data)
    assert "Careful: all of these answers score the same" in " ".join(out.split())


def test_rows_without_any_answer_are_said_to_have_none(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gold": "a"}, {"gold": "b"})
    spec = write(tmp_path / "g.json", {"type": "format", "pattern": ".*sleep.*"})
    _, out, _ = verifine("grade", "test", "--grader", spec, "--data", data)
    assert "2 rows could not be answered (line 1, line 2): gt_answer" in out
    assert "right answer" not in out.lower()


def test_a_limit_takes_rows_at_even_distances(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", *(dict[str, Json](gt_answer=str(n), keep=n % 3 == 0) for n in range(9)))
    spec = write(tmp_path / "g.json", check(reference="true", text="{{ item.keep }}"))
    told = tried(verifine, "--grader", spec, "--data", data, "--limit", 3)
    assert (told["scores"]["empty text"]["count"], told["scores"]["empty text"]["mean"]) == (3, 1.0)
    _, out, _ = verifine("grade", "test", "--grader", spec, "--data", data, "--limit", "3")
    assert f"3 of 9 rows of {data}" in out


def test_the_histogram_is_drawn_as_a_png(verifine: Command, capitals: Path, tmp_path: Path) -> None:
    plot = tmp_path / "scores.png"
    code, out, _ = verifine("grade", "test", "--grader", "answer_exact", "--data", capitals, "--plot", plot)
    assert (code, out.splitlines()[-1]) == (0, str(plot))
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_reasons_hold_no_command_for_the_terminal(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "\x1b[2J\x07many"})
    _, out, _ = verifine("grade", "test", "--grader", "answer_number", "--data", data)
    assert 'the reference " [2J many" is not a number' in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("words", "expected_code", "message"),
    [
        ([], 2, "nothing to grade: give --grader and --data, or --rollouts"),
        (["--grader", "answer_exact"], 2, "nothing to grade"),
        (["--grader", "answer_exact", "--data", "nowhere.jsonl"], 4, "nowhere.jsonl does not exist"),
        (["--rollouts", "nowhere"], 2, "nowhere: there is no such folder"),
        (["--grader", "answer_exact", "--data", "x.jsonl", "--plot", "x.svg"], 2, "--plot: x.svg must end in .png"),
        (["--grader", "answer_exact", "--data", "x.jsonl", "--limit", "0"], 2, "--limit"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    words: list[str], expected_code: int, message: str, verifine: Command
) -> None:
    code, out, err = verifine("grade", "test", *words)
    assert (code, out) == (expected_code, "")
    assert message in err


@pytest.mark.parametrize(
    ("name", "text"),
    [("q.jsonl", '{"question": "2 + 2?", "answer": "4"}\n' * 9), ("q.csv", "question,answer\n2 + 2?,4\n")],
)
def test_rows_without_a_question_are_told_the_option_that_names_it(
    verifine: Command, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    words = ["grade", "test", "--grader", "answer_number", "--data", tmp_path / name]
    code, _, err = verifine(*words)
    assert (code, len(err.splitlines())) == (4, 1)
    advised = err.partition("for example ")[2].split(" (and ")[0].split()
    assert advised == ["--column", "prompt=question", "--column", "gt_answer=answer"]
    assert verifine(*words, *advised)[0] == 0


@pytest.mark.parametrize("head", ["", "data: {train: a.jsonl}\ngrader:\n"])
def test_every_verb_of_grade_reads_yaml(verifine: Command, capitals: Path, tmp_path: Path, head: str) -> None:
    path, indent = tmp_path / "sig.yaml", "  " if head else ""
    fields = [f"input: '{TEXT}'", "name: sig", "operation: eq", f"reference: '{GOLD}'", "type: string_check"]
    path.write_text(head + "".join(f"{indent}{field}\n" for field in fields))
    for answer, reward in (("Oslo", 1.0), ("Bonn", 0.0)):
        code, out, err = verifine(
            "grade", "run", "--grader", path, "--sample", answer, "--item", '{"gt_answer": "Oslo"}'
        )
        assert (code, err, json.loads(out)["reward"]) == (0, "", reward)
    assert verifine("grade", "validate", path) == (0, f"{path} is a valid string_check grader\n", "")
    assert tried(verifine, "--grader", path, "--data", capitals)["scores"]["right answer"]["mean"] == 1.0
