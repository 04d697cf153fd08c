"""What the chat template does, from the config to the saved model: the same in training, check and evaluation."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from verifine import RunConfig, resume, train
from verifine.config import AnyGrader, dump_config, load_config
from verifine.errors import CheckpointError, ConfigError
from verifine.graders.services import Services
from verifine.launch.checking import check_run, dry_run
from verifine.launch.eval_spec import EvalSource, find_eval_target, load_eval_spec
from verifine.launch.evaluate import evaluate_models
from verifine.launch.grader_report import GraderUse, report_on_run
from verifine.launch.options import LaunchOptions
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import read_evaluations
from verifine.runs.events import FindingRaised, RunEvent, StepDone, read_events
from verifine.runs.requests import RunRequest
from verifine.runs.rollouts import read_rollouts
from verifine.testing import CHAT_TEMPLATE, save_tiny_model
from verifine.testing.models import with_chat_template
from verifine.testing.parrot import save_parrot
from verifine.testing.sessions import grade, tiny_run

SWITCH = CHAT_TEMPLATE.removesuffix("{% endif %}") + (
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "<think>{{ '\\n\\n' }}</think>{{ '\\n\\n' }}{% endif %}{% endif %}"
)
NO_THOUGHT = "<think>\n\n</think>\n\n"
USERS_ONLY = (
    "{% for m in messages %}{% if m.role == 'user' %}<s>u:{{ m.content }}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s>a:{% endif %}"
)
THINKS = CHAT_TEMPLATE.replace("<s>a:", "<s>a:<think>\n")
"""The newline belongs to the token."""

FORMAT: dict[str, object] = {"type": "format", "template": "<think>...</think><answer>...</answer>"}


def switched(folder: Path, value: bool = False, **model: Any) -> RunConfig:
    """A run of a model with a switch, which is off by default."""
    base = folder.parent / "base"
    if not base.exists():
        with_chat_template(save_tiny_model(base), SWITCH)
    values = {"chat_template_kwargs": {"enable_thinking": value}, **model}
    return tiny_run(folder, base, model=values, grader=FORMAT, run={"steps": 1})


def test_a_switch_holds_in_training_evaluation_and_for_the_saved_model(tmp_path: Path) -> None:
    config = switched(tmp_path / "a")
    assert all(text.endswith(f"<s>a:{NO_THOUGHT}") for text in dry_run(config).prompt_texts)
    run = train(config, check=False).directory
    (path,) = run.rollouts.glob("*.jsonl")
    assert {(row.prompt[-len(NO_THOUGHT) :], row.opened) for row in read_rollouts(path)} == {(NO_THOUGHT, NO_THOUGHT)}
    assert {sample.opened for each in read_evaluations(run.evaluations).values() for sample in each.samples} == {
        NO_THOUGHT
    }
    assert load_config(run.config).model.chat_template_kwargs == {"enable_thinking": False}
    saved = AutoTokenizer.from_pretrained(run.model)
    chat = [{"role": "user", "content": "Largest of 1, 2"}]
    for given, end in (({}, NO_THOUGHT), ({"enable_thinking": True}, "")):
        text = saved.apply_chat_template(chat, add_generation_prompt=True, tokenize=False, **given)
        assert text == f"<s>u:Largest of 1, 2</s><s>a:{end}"


def evaluated_openings(target: str, grader: AnyGrader | None, data: Path | None, *overrides: str) -> set[str]:
    found = find_eval_target(target)
    source = EvalSource(grader=grader, data=None if data is None else str(data))
    spec = load_eval_spec(found, source, ["model.precision=float32", "sampling.max_new_tokens=4", *overrides])
    (result,) = evaluate_models([found], spec)
    return {sample.opened for sample in result.evaluation.samples}


@pytest.mark.slow
def test_a_switch_holds_for_the_evaluation_of_a_run_of_its_folder_and_of_a_model(tmp_path: Path) -> None:
    config = switched(tmp_path / "a")
    run = train(config, check=False).directory
    grader, data = config.grader, tmp_path / "a" / "eval.jsonl"
    assert evaluated_openings(str(run.path), None, None) == {NO_THOUGHT}
    assert evaluated_openings(str(run.path), None, None, "model.chat_template_kwargs={}") == {NO_THOUGHT}
    assert evaluated_openings(str(run.model), grader, data) == {NO_THOUGHT}
    on, off = ("model.chat_template_kwargs={enable_thinking: true}", "model.chat_template_kwargs.enable_thinking=false")
    assert evaluated_openings(str(run.model), grader, data, on) == {""}
    assert evaluated_openings(config.model.name, grader, data) == {""}
    assert evaluated_openings(config.model.name, grader, data, off) == {NO_THOUGHT}


def test_a_run_is_resumed_with_its_switch_only(tmp_path: Path) -> None:
    def pause(event: RunEvent) -> None:
        paused.extend([RunRequest.PAUSE] * isinstance(event, StepDone))

    paused: list[RunRequest] = []
    config = switched(tmp_path / "a").model_copy(
        update={"run": switched(tmp_path / "a").run.model_copy(update={"steps": 2})}
    )
    options = LaunchOptions(listeners=[pause], request=lambda: paused[0] if paused else None)
    run = train(config, check=False, options=options).directory
    written = load_config(run.config)
    other = written.model_copy(
        update={"model": written.model.model_copy(update={"chat_template_kwargs": {"enable_thinking": True}})}
    )
    run.config.write_text(dump_config(other))
    with pytest.raises(
        CheckpointError, match=r"the values for the chat template changed.*`model.chat_template_kwargs`"
    ):
        resume(run.path)
    run.config.write_text(dump_config(written))
    assert resume(run.path).summary.progress.step == 2


def test_a_run_from_before_there_were_values_is_resumed(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    run = train(tiny_run(tmp_path / "a", base, run={"steps": 1}), grader=grade, check=False).directory
    text = run.config.read_text()
    assert "  chat_template_kwargs: {}\n" in text
    run.config.write_text(text.replace("  chat_template_kwargs: {}\n", ""))
    record = json.loads((run.path / "run.json").read_text())
    assert record["provenance"].pop("template_values") is None
    (run.path / "run.json").write_text(json.dumps(record))
    assert resume(run.path, grader=grade, steps=2).summary.progress.step == 2


def findings_of(config: RunConfig) -> list[FindingRaised]:
    run = train(config, check=False).directory
    return [each.event for each in read_events(run.events) if isinstance(each.event, FindingRaised)]


@pytest.mark.slow
def test_weights_that_learned_with_another_switch_are_told(tmp_path: Path) -> None:
    first = train(switched(tmp_path / "a"), check=False).directory
    start: dict[str, Any] = {"start_from": str(first.path)}
    told = {finding.name: finding for finding in findings_of(switched(tmp_path / "b", value=True, **start))}
    assert told["other_template_values"].evidence == (
        'trained with {"enable_thinking": false}, now {"enable_thinking": true}'
    )
    assert "other_template_values" not in {each.name for each in findings_of(switched(tmp_path / "c", **start))}
    target = find_eval_target(str(first.path))
    spec = load_eval_spec(target, EvalSource(), ["model.chat_template_kwargs={enable_thinking: true}"])
    (evaluated,) = evaluate_models([target], spec)
    assert "other_template_values" in {finding.name for finding in evaluated.findings}


def test_a_switch_that_the_template_does_not_have_is_refused(tmp_path: Path) -> None:
    config = switched(tmp_path / "a", chat_template_kwargs={"thinking": False})
    with pytest.raises(ConfigError, match=r"never reads thinking .*; it reads enable_thinking$"):
        train(config, check=False)


def hiding(folder: Path, system_prompt: str | None = "Answer inside tags.") -> RunConfig:
    base = with_chat_template(save_tiny_model(folder / "base"), USERS_ONLY)
    return tiny_run(folder, base, data={"system_prompt": system_prompt}, grader=FORMAT, run={"steps": 1})


def test_what_the_template_leaves_out_is_told_before_training_with_and_without_the_check(tmp_path: Path) -> None:
    config = hiding(tmp_path)
    report = check_run(config)
    unchecked = findings_of(config)
    dry = dry_run(config.model_copy(update={"run": config.run.model_copy(update={"directory": tmp_path / "dry"})}))
    for found in (report.findings, unchecked, dry.findings):
        (finding,) = [each for each in found if each.name == "hidden_system"]
        assert re.match("The chat template of .*base leaves out the system prompt", finding.what)
        assert finding.evidence.startswith("18 of 18 rows; in ")
        assert finding.evidence.endswith('data.jsonl line 1: "Answer inside tags."')
        assert "data.system_prompt" in finding.remedies[0]
    target = find_eval_target(config.model.name)
    data = str(tmp_path / "eval.jsonl")
    spec = load_eval_spec(
        target,
        EvalSource(data=data, grader=config.grader),
        ["data.system_prompt=Be brief.", "sampling.max_new_tokens=4"],
    )
    (evaluated,) = evaluate_models([target], spec)
    assert [finding.name for finding in evaluated.findings] == ["hidden_system"]


def test_a_template_that_shows_everything_is_not_told_of(tmp_path: Path) -> None:
    config = hiding(tmp_path, system_prompt=None)
    assert not [finding for finding in check_run(config).findings if finding.name.startswith("hidden_")]
    assert findings_of(config) == []


def thinking_run(folder: Path, says: Sequence[str]) -> RunConfig:
    base = save_parrot(folder / "base", chat_template=THINKS, begins_after="<think>\n", says=says)
    return tiny_run(folder, base, grader=FORMAT, sampling={"max_new_tokens": 8}, run={"steps": 1})


RIGHT = ("so it is ", "</think>", "<answer>", "7", "</answer>")


@pytest.mark.slow
def test_a_thought_that_the_template_opens_counts_everywhere(tmp_path: Path) -> None:
    config = thinking_run(tmp_path, RIGHT)
    report = check_run(config)
    assert report.sampling is not None
    assert report.sampling.scores.format_accuracy == 1
    (note,) = [finding for finding in report.findings if finding.name == "answers_begun_by_template"]
    assert note.evidence == '"<think>\\n"'
    run = train(config, check=False).directory
    (row,) = map(json.loads, run.metrics.read_text().splitlines())
    assert (row["format_accuracy"], row["reward"]) == (1, 1)
    assert {each.format_accuracy for each in read_evaluations(run.evaluations).values()} == {1}
    (path,) = run.rollouts.glob("*.jsonl")
    assert {(each.text, each.opened) for each in read_rollouts(path)} == {("".join(RIGHT), "<think>\n")}
    again = report_on_run(run.path, None, None, None, GraderUse(services=Services()))
    assert again.agreement is not None
    assert again.agreement.same == again.agreement.count == 6
    assert evaluated_formats(run, config) == {True}


def evaluated_formats(run: RunDirectory, config: RunConfig) -> set[bool | None]:
    target = find_eval_target(str(run.model))
    data = run.path.parent / "eval.jsonl"
    overrides = ["model.precision=float32", "sampling.max_new_tokens=8"]
    spec = load_eval_spec(target, EvalSource(data=str(data), grader=config.grader), overrides)
    (evaluated,) = evaluate_models([target], spec)
    return {sample.format_ok for sample in evaluated.evaluation.samples}


def test_a_thought_that_is_never_closed_is_in_the_wrong_form(tmp_path: Path) -> None:
    run = train(thinking_run(tmp_path, ("so it is ", "<answer>", "7", "</answer>")), check=False).directory
    (row,) = map(json.loads, run.metrics.read_text().splitlines())
    assert row["format_accuracy"] == 0
