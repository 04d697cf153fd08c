"""Ten planted secrets, and none of them in anything that a run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from verifine import resume, train
from verifine.errors import GraderError
from verifine.testing import save_tiny_model
from verifine.testing.sessions import tiny_run

CANARIES = {
    "OPENAI_API_KEY": "sk-canary-1-aaaaaaaaaaaa",
    "HF_TOKEN": "hf_canary2bbbbbbbbbbbb",
    "WANDB_API_KEY": "canary3cccccccccccccccc",
    "AWS_SECRET_ACCESS_KEY": "canary4/dd+dd=dddddddd",
    "GITHUB_TOKEN": "ghp_canary5eeeeeeeeeeee",
    "DATABASE_PASSWORD": 'canary6 "quoted" \\ ff',
    "GRADER_SECRET": "whsec_canary7ggggggggggg",
    "GOOGLE_CREDENTIALS": '{"canary8": "hhhhhhhh"}',
    "PROXY_AUTH": "user:canary9iiiiiiii",
    "MY_PASSWD": "canary10-éàü-jjjjjj",
}


def leaks(folder: Path) -> dict[str, list[str]]:
    """The files that hold the unmistakable part of a canary, however the rest is quoted; by the canary's variable."""
    found: dict[str, list[str]] = {}
    for name, value in CANARIES.items():
        mark = value[value.index("canary") :][: len("canary1")].encode()
        for path in folder.rglob("*"):
            if path.is_file() and mark in path.read_bytes():
                found.setdefault(name, []).append(path.name)
    return found


def telltale(sample: dict[str, Any], item: dict[str, Any]) -> float:
    """Quotes every canary in its error, as a client does that prints its request."""
    if len(sample["output_text"]) % 2:
        raise RuntimeError("; ".join(f"{name}={value}" for name, value in CANARIES.items()))
    return float(ord((sample["output_text"] or " ")[0]) % 3)


def test_no_file_of_a_run_holds_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    model = save_tiny_model(tmp_path / "model")
    run = tmp_path / "run"
    ended = []
    for steps in (2, 12):
        config = tiny_run(tmp_path, model, run={"steps": steps}, sampling={"prompts_per_step": 8, "group_size": 4})
        try:
            if (run / "config.yaml").exists():
                resume(run, steps=steps, grader=telltale)
            else:
                train(config, grader=telltale, check=False)
        except GraderError as error:
            ended.append(str(error))
    assert ended, "the grader fails on half of the answers, which ends the run and is told"
    assert leaks(run) == {}
    texts = [path.read_text() for path in run.rglob("*") if path.suffix in {".jsonl", ".html", ".md"}]
    assert sum(text.count("[secret]") for text in texts) > 10
