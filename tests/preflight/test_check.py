"""The check from end to end, on scripted answers: what it refuses, and how early."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from verifine.config import build_config
from verifine.graders import build_grader
from verifine.insights.findings import CheckVerdict
from verifine.launch.build import RunModels, assemble_trainer
from verifine.launch.facts import find_facts
from verifine.launch.inputs import RunInputs, load_inputs
from verifine.models.load import LanguageModel
from verifine.models.policy import ModelPolicy
from verifine.models.provision.stored import ProvisionedModel
from verifine.preflight.check import (
    MOST_SAMPLES,
    Extent,
    LoadedRun,
    NoGoError,
    check_inputs,
    check_memory,
    check_model,
    refuse_no_go,
)
from verifine.preflight.report import Report
from verifine.testing import ScriptedEngine, load_tiny_model
from verifine.types import Prompt


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "tiny"


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load_tiny_model(folder)


def read(tmp_path: Path, rows: list[dict[str, Any]], **sections: dict[str, Any]) -> RunInputs:
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return load_inputs(
        build_config(
            {
                "data": {"train": str(path)},
                "model": {"precision": "float32"},
                "grader": {"type": "string_check", "input": "{{ sample.output_text }}", "operation": "eq",
                           "reference": "{{ item.gt_answer }}"},
                "sampling": {"max_new_tokens": 8},
                **sections,
            }
        )
    )  # fmt: skip


def rows(count: int, **item: str) -> list[dict[str, Any]]:
    return [
        {"messages": [{"role": "user", "content": f"Say {number}"}], "gt_answer": str(number), **item}
        for number in range(count)
    ]


def try_grader(inputs: RunInputs) -> Report:
    assert inputs.grader is not None
    return check_inputs(
        inputs.config, inputs.train, inputs.held_out, build_grader(inputs.grader), inputs.grader, lambda: 0.0
    )


def check(
    inputs: RunInputs,
    model: LanguageModel,
    folder: Path,
    answer: Callable[[Prompt, int], str],
    extent: Extent = Extent(),  # noqa: B008 - frozen
) -> tuple[Report, ScriptedEngine]:
    """All stages, with an engine that answers as it is told; token ids of digits and capitals are those of letters."""
    assert inputs.grader is not None
    grader, engine = build_grader(inputs.grader), ScriptedEngine(answer)
    report = check_inputs(inputs.config, inputs.train, inputs.held_out, grader, inputs.grader, lambda: 0.0)
    facts = find_facts(inputs, ProvisionedModel(name="tiny", folder=folder, source="test"))
    report = check_memory(report, facts.resolve(inputs.config), facts.model, facts.machine)
    assembly = assemble_trainer(inputs, facts, RunModels(policy=model), grader, clock=lambda: 0.0)
    loaded = LoadedRun(
        config=assembly.config,
        trainer=replace(assembly.trainer, engine=engine),
        policy=ModelPolicy(model),
        held_out=len(assembly.held_out),
    )
    return check_model(report, loaded, extent), engine


def test_a_model_that_is_sometimes_right_may_begin(tmp_path: Path, model: LanguageModel, folder: Path) -> None:
    inputs = read(tmp_path, rows(240))
    report, engine = check(
        inputs, model, folder, lambda prompt, sample: str(prompt.item["gt_answer"]) if sample < 2 else "NO"
    )
    assert report.verdict is CheckVerdict.GO, report.findings
    assert refuse_no_go(report) is report
    assert report.sampling is not None
    assert report.sampling.prompt_rates == (0.25,) * 8
    assert report.resolved is not None
    assert report.resolved.optim.learning_rate == 1e-5
    assert report.lengths is not None
    assert report.lengths.prompts == 216
    assert report.memory is not None
    assert report.memory.longest_step >= report.memory.step > 0
    ((ids, sampling),) = engine.calls
    assert (len(ids), sampling.group_size) == (8, 8)


def test_a_model_that_is_never_right_may_not(tmp_path: Path, model: LanguageModel, folder: Path) -> None:
    inputs = read(tmp_path, rows(240))
    one_step, _ = check(inputs, model, folder, lambda prompt, sample: "NO")
    assert one_step.verdict is CheckVerdict.GO_WITH_WARNINGS
    report, _ = check(inputs, model, folder, lambda prompt, sample: "NO", Extent(rows=64))
    assert report.verdict is CheckVerdict.NO_GO
    with pytest.raises(NoGoError, match=r"(?s)no-go:\n- Too hard.*data.train.*--skip-check .*check=False") as refused:
        refuse_no_go(report)
    assert refused.value.report is report
    assert refused.value.exit_code == 4


def test_the_extent_says_how_much_is_asked(tmp_path: Path, model: LanguageModel, folder: Path) -> None:
    inputs = read(tmp_path, rows(24), sampling={"max_new_tokens": 8, "group_size": 16})

    def asked(extent: Extent) -> tuple[int, int]:
        _, engine = check(inputs, model, folder, lambda prompt, sample: "NO", extent)
        assert len({sampling for _, sampling in engine.calls}) == 1
        return sum(len(ids) for ids, _ in engine.calls), engine.calls[0][1].group_size

    assert asked(Extent()) == (8, MOST_SAMPLES)
    assert asked(Extent(rows=3, samples=2)) == (3, 2)
    assert asked(Extent(rows=1000)) == (22, MOST_SAMPLES)  # there are no more rows


def test_a_field_that_rows_lack_is_found_before_there_is_a_model(tmp_path: Path) -> None:
    broken = rows(24)
    for row in broken[3:6]:
        del row["gt_answer"]
    inputs = read(tmp_path, broken)
    report = try_grader(inputs)
    blocker = report.findings[0]
    assert (report.verdict, blocker.name) == (CheckVerdict.NO_GO, "incomplete_rows")
    assert blocker.what == "3 rows of 24 cannot be graded, whatever the answer."
    assert "train.jsonl line 4: item.gt_answer does not exist" in blocker.evidence


def test_the_second_grader_is_tried_on_held_out_rows(tmp_path: Path) -> None:
    second = {"type": "string_check", "operation": "eq", "input": "{{sample.output_text}}", "reference": "{{item.%s}}"}

    def found(field: str) -> dict[str, str]:
        grader = {**second, "reference": second["reference"] % field}
        inputs = read(tmp_path, rows(24, truth="yes"), evaluation={"grader": grader})
        assert inputs.grader is not None
        assert inputs.config.evaluation.grader is not None
        report = check_inputs(
            inputs.config,
            inputs.train,
            inputs.held_out,
            build_grader(inputs.grader),
            inputs.grader,
            lambda: 0.0,
            second=build_grader(inputs.config.evaluation.grader),
        )
        assert report.second_grading is not None
        return {finding.name: f"{finding.severity.value}: {finding.what}" for finding in report.findings}

    assert not any("second" in what for what in found("truth").values())
    assert found("nothing")["second_incomplete_rows"] == (
        "warning: 2 rows of 2 cannot be graded with the second grader, whatever the answer."
    )


def test_data_drawn_from_training_is_told_apart_from_data_that_was_given(tmp_path: Path) -> None:
    inputs = read(tmp_path, rows(24))
    assert try_grader(inputs).data.is_carved_out
    task = load_inputs(build_config({"data": {"task": "add"}}))
    assert not try_grader(task).data.is_carved_out


def test_a_model_too_large_for_the_machine_is_refused_before_it_is_loaded(
    tmp_path: Path, folder: Path, model: LanguageModel, report: Report
) -> None:
    config_file = tmp_path / "huge" / "config.json"
    config_file.parent.mkdir()
    config = json.loads((folder / "config.json").read_text())
    # A trillion weights: 4 TB of them, and three times as much to train them.
    config_file.write_text(
        json.dumps({**config, "hidden_size": 65536, "intermediate_size": 262144, "num_hidden_layers": 16})
    )
    inputs = read(tmp_path, rows(24))
    facts = find_facts(inputs, ProvisionedModel(name="huge", folder=config_file.parent, source="test"))
    huge = check_memory(report, facts.resolve(inputs.config), facts.model, facts.machine)
    (blocker,) = [finding for finding in huge.findings if finding.name == "memory"]
    assert blocker.severity.value == "blocker"
    assert "model.lora" in blocker.remedies[0]
