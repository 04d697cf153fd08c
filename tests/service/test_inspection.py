from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from verifine.config import RunConfig, build_config, load_config
from verifine.launch.inspection.question import QUESTION, REPLY, InspectionReply, LookQuestion
from verifine.service.child import ChildError, ChildLimits, Children
from verifine.service.inspection import resolved
from verifine.service.inspection.inspector import InspectionError, Inspector
from verifine.testing import save_tiny_model

GRADER = {"type": "python", "source": "def grade(sample, item):\n    return item['n'] / 10\n"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("inspected") / "tiny")


def make_config(folder: Path, model: Path, rows: list[dict[str, Any]] | None = None, **sections: Any) -> RunConfig:
    made = [{"prompt": f"Largest of {n}, {2 * n}", "n": n} for n in range(10)] if rows is None else rows
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    (folder / "eval.jsonl").write_text('{"prompt": "Largest of 98, 99", "n": 1}\n')
    values: dict[str, Any] = {
        "model": {"name": str(model), "precision": "float32"},
        "data": {"train": str(folder / "train.jsonl"), "eval": str(folder / "eval.jsonl")},
        "sampling": {"prompts_per_step": 2, "group_size": 2, "max_new_tokens": 4},
        "grader": GRADER,
    }
    return build_config({**values, **sections})


class CountingChildren:
    """Counts the processes, and what they were allowed."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self.asked: list[ChildLimits] = []

    def ask(self, module: str, question: bytes, limits: ChildLimits) -> bytes:
        self.asked.append(limits)
        return self._children.ask(module, question, limits)


@pytest.fixture
def counting(children: Children) -> CountingChildren:
    return CountingChildren(children)


@pytest.fixture
def inspector(counting: CountingChildren, tmp_path: Path) -> Inspector:
    return Inspector(counting.ask, tmp_path / "inspections")


@pytest.mark.slow
def test_rows_are_shown_as_the_model_reads_them_and_found_out_once(
    inspector: Inspector, counting: CountingChildren, model: Path, tmp_path: Path
) -> None:
    config = make_config(tmp_path, model)
    seen = inspector.look(config, first=3, count=2)
    assert (seen.train, seen.held_out, seen.refused) == (10, 1, 0)
    assert [row.item["n"] for row in seen.rows] == [3, 4]
    assert "Largest of 3, 6" in seen.rows[0].text
    assert 0 < seen.rows[0].tokens <= seen.prompts.longest <= seen.prompts.total
    assert seen.data.longest_prompt == seen.prompts.longest
    assert inspector.look(config, first=3, count=2) == seen
    assert len(counting.asked) == 1
    run = resolved.resolve_run(config, seen)
    assert (run.config.optim.learning_rate, run.steps_per_epoch) == (1e-5, 5)
    assert run.memory.usual > 0
    make_config(tmp_path, model, [{"prompt": "Largest of 1, 2", "n": 1}] * 4)  # the file is another one now
    assert inspector.look(config, first=0, count=9).train == 4
    assert len(counting.asked) == 2


@pytest.mark.slow
def test_the_model_answers_before_it_has_learned_anything_and_is_graded(
    inspector: Inspector, counting: CountingChildren, model: Path, tmp_path: Path
) -> None:
    trial = inspector.try_out(make_config(tmp_path, model), (7, 2), samples=2)
    assert [[answer.score for answer in problem.samples] for problem in trial.problems] == [[0.7, 0.7], [0.2, 0.2]]
    assert "Largest of 7, 14" in trial.problems[0].samples[0].prompt
    assert counting.asked[0].memory_bytes > 4 << 30


@pytest.mark.slow
def test_a_check_is_measured_each_time_with_the_threads_of_a_job(
    counting: CountingChildren, model: Path, tmp_path: Path
) -> None:
    config = make_config(tmp_path, model)
    inspector = Inspector(counting.ask, tmp_path / "inspections", job_threads=2)
    for _ in range(2):
        found = inspector.check(config, rows=2)
        assert found["verdict"] in ("go", "go_with_warnings")
        assert found["pace"] is not None
    assert [limits.threads for limits in counting.asked] == [2, 2]


@pytest.mark.slow
def test_what_cannot_be_used_is_told_and_asked_again_the_next_time(
    inspector: Inspector, counting: CountingChildren, model: Path, tmp_path: Path
) -> None:
    config = make_config(tmp_path, model)
    (tmp_path / "train.jsonl").write_text("{no json\n")
    for _ in range(2):
        with pytest.raises(InspectionError, match=r"train\.jsonl.*line 1"):
            inspector.look(config)
    assert len(counting.asked) == 2


@pytest.mark.slow
def test_rows_that_training_would_refuse_are_told_with_their_place(
    inspector: Inspector, model: Path, tmp_path: Path
) -> None:
    rows = [{"prompt": "a", "n": 1}, {"prompt": "many words " * 2000, "n": 2}, {"prompt": "b", "n": 3}]
    seen = inspector.look(make_config(tmp_path, model, rows))
    assert seen.refused == 1
    assert "line 2" in seen.problems[0]
    assert [row.problem is None for row in seen.rows] == [True, False, True]


@pytest.mark.slow
def test_an_inspector_that_is_killed_leaves_the_next_question_alone(
    children: Children, model: Path, tmp_path: Path
) -> None:
    config = make_config(tmp_path, model)
    late = Inspector(
        lambda module, question, _: children.ask(module, question, ChildLimits(wall_s=0.01, memory_bytes=1 << 30)),
        tmp_path / "kept",
    )
    with pytest.raises(ChildError, match="longer than"):
        late.look(config)
    assert Inspector(children.ask, tmp_path / "kept").look(config).train == 10


@pytest.mark.parametrize(("rows", "samples"), [((), 1), ((0,), 0), ((0,), 17), (tuple(range(51)), 1)])
def test_too_much_is_not_asked_for(tmp_path: Path, model: Path, rows: tuple[int, ...], samples: int) -> None:
    def ask(module: str, question: bytes, limits: ChildLimits) -> bytes:
        raise AssertionError("nothing is to be asked")

    inspector, config = Inspector(ask, tmp_path), make_config(tmp_path, model)
    with pytest.raises(InspectionError):
        inspector.try_out(config, rows, samples=samples)
    for number in (0, 51):
        with pytest.raises(InspectionError):
            inspector.check(config, rows=number)
    for first, count in ((-1, 1), (0, 51), (0, -1)):
        with pytest.raises(InspectionError):
            inspector.look(config, first=first, count=count)


def test_a_question_comes_back_from_json_as_it_was(tmp_path: Path, model: Path) -> None:
    question = LookQuestion(config=make_config(tmp_path, model, optim={"betas": [0.9, 0.95]}), first=1, count=2)
    assert QUESTION.validate_json(QUESTION.dump_json(question)) == question
    reply = InspectionReply(problem="no")
    assert REPLY.validate_json(REPLY.dump_json(reply)) == reply


def test_each_form_of_a_run_is_the_same_run(tmp_path: Path, model: Path) -> None:
    config = make_config(tmp_path, model, run={"steps": 7, "max_minutes": 2.5}, data={"train": str(tmp_path / "a b")})
    words = shlex.split(resolved.as_command(config))
    assert words[:2] == ["verifine", "train"]
    assert load_config(None, words[2:]) == config
    path = tmp_path / "config.yaml"
    path.write_text(resolved.as_yaml(config))
    assert load_config(path) == config
    made: list[RunConfig] = []
    program = resolved.as_python(config).replace("from verifine import RunConfig, train\n", "")
    exec(program, {"RunConfig": RunConfig, "train": made.append})
    assert made == [config]


def test_the_request_in_curl_is_the_one_that_was_given() -> None:
    request: JsonValue = {"model": "it's", "verifine": {"run": {"steps": 3}}}
    line = resolved.as_curl(request, "http://127.0.0.1:8080/v1/").replace("\\\n", " ")
    words = shlex.split(line)
    assert words[1] == "http://127.0.0.1:8080/v1/fine_tuning/jobs"
    assert json.loads(words[words.index("-d") + 1]) == request
    assert os.environ.get("OPENAI_API_KEY", "none") not in line
