from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.testing import save_tiny_model

SOURCE = """
def grade(sample, item):
    text = sample["output_text"]
    return sum(character in item["wanted"] for character in text) / max(len(text), 1)
"""


@pytest.mark.slow
def test_a_users_jsonl_with_a_python_grader_raises_the_reward(
    verifine: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    rows = [{"messages": [{"role": "user", "content": f"say {i}"}], "wanted": "aeiou"} for i in range(24)]
    data, grader, run = tmp_path / "train.jsonl", tmp_path / "grader.json", tmp_path / "run"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    grader.write_text(json.dumps({"type": "python", "name": "vowels", "source": SOURCE}), encoding="utf-8")
    model = save_tiny_model(tmp_path / "base")
    settings = ["model.precision=float32", "sampling.prompts_per_step=4", "optim.warmup_steps=0"]
    code, _, errors = verifine(
        *("train", "--dataset", data, "--grader", grader, "--model", model, "--run-dir", run, "--steps", "30"),
        *("--max-new-tokens", "8", "--learning-rate", "3e-3", *settings),
    )
    assert code == 0, errors
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    first, last = (sum(row["reward"] for row in part) / 5 for part in (metrics[:5], metrics[-5:]))
    assert first < 0.4
    assert last > 0.7
    assert all(row["unscorable"] == 0 for row in metrics)
    assert all(row["grader/latency_p50"] > 0 for row in metrics)
    assert all(row["rewards/vowels"] == pytest.approx(row["reward"]) for row in metrics)
