"""From sampled tokens to what is graded, learned and recorded, in whole runs of tiny models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

from verifine.graders.extraction import find_tagged
from verifine.launch.session import train
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import read_evaluations
from verifine.runs.metrics import read_metrics
from verifine.runs.rollouts import read_rollouts, read_tokens
from verifine.testing import save_tiny_model
from verifine.testing.sessions import grade, tiny_run
from verifine.types import FinishReason, Json

TOKENS, PADDING = 99, 29


@pytest.mark.parametrize(
    "sections",
    [
        {},
        pytest.param({"model": {"lora": {"rank": 4}}}, marks=pytest.mark.slow),
        pytest.param({"algorithm": {"name": "ppo"}}, marks=pytest.mark.slow),
    ],
)
def test_a_run_of_a_padded_model_samples_tokens_alone(sections: dict[str, dict[str, object]], tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model", padding=PADDING)
    config = tiny_run(tmp_path, folder, **sections)
    train(config, grader=grade, check=False)
    run = tmp_path / "run"
    for path in sorted((run / "rollouts").glob("*.safetensors")):
        assert load_file(path)["ids"].max() < TOKENS
    reports = read_metrics(run / "metrics.jsonl")
    assert len(reports) == 3
    assert all(report.metrics.get("mismatch/max", 0.0) < 1e-3 for report in reports)
    assert any("mismatch/max" in report.metrics for report in reports)
    saved = AutoModelForCausalLM.from_pretrained(run / "model")
    assert saved.get_output_embeddings().weight.shape[0] == TOKENS + PADDING


def test_a_stop_text_within_a_token_ends_what_is_graded_and_recorded(tmp_path: Path) -> None:
    words = [f"{letter}>{rest}" for letter in "abcdefghij" for rest in "<./x "]
    folder = save_tiny_model(tmp_path / "model", words=words)
    config = tiny_run(
        tmp_path,
        folder,
        sampling={"prompts_per_step": 4, "group_size": 8, "max_new_tokens": 16, "stop": ["nothing", ">"]},
    )
    graded: list[str] = []

    def grade_length(sample: Mapping[str, str], item: Mapping[str, Json]) -> float:
        graded.append(sample["output_text"])
        return float(len(sample["output_text"]) % 2)

    train(config, grader=grade_length, check=False)
    assert all(">" not in text[:-1] for text in graded)
    within = 0
    for path in sorted((tmp_path / "run" / "rollouts").glob("*.jsonl")):
        for record in read_rollouts(path):
            assert record.text in graded
            assert record.tokens is not None
            tokens = read_tokens(path, *record.tokens)
            ends = tokens.numbers.text_ends
            assert ends[-1] == len(record.text)
            assert (np.diff(ends) >= 0).all()
            if record.text.endswith(">"):
                assert record.finish_reason is FinishReason.STOP
                within += int(tokens.ids[-1] >= TOKENS)
    assert within > 10, "most stop texts end within a token"
    evaluated = [
        sample.text
        for evaluation in read_evaluations(RunDirectory(path=tmp_path / "run").evaluations).values()
        for sample in evaluation.samples
    ]
    assert evaluated
    assert all(">" not in text[:-1] for text in evaluated)


def test_a_right_answer_with_a_rest_behind_its_tag_is_right_only_once_it_is_cut() -> None:
    assert find_tagged("<answer>7</answer><", tag="answer") is None
    assert find_tagged("<answer>7</answer>", tag="answer") == "7"
