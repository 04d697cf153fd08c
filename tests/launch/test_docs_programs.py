"""The Python programs on the pages run as they stand there, with a tiny model in place of the default one."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from verifine import train
from verifine.config import build_config
from verifine.testing import save_tiny_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/graders.md", "docs/howto/train-on-your-data.md")
PROGRAMS = [
    (page, program)
    for page in PAGES
    for program in re.findall(
        r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    if "train(" in program
]
FOLLOWING = re.search(
    r"^```python\n(.*?)^```$", (ROOT / "docs/reliability.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
TINY: dict[str, Any] = {
    "sampling": {"prompts_per_step": 2, "group_size": 2, "max_new_tokens": 4},
    "run": {"steps": 2},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and the file that the programs name."""
    rows = [{"messages": [{"role": "user", "content": f"{i} + 1?"}], "gt_answer": str(i + 1)} for i in range(24)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    save_tiny_model(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(program: str, **names: object) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "the page", "exec"), dict(names))
    return printed.getvalue()


def test_there_are_programs_that_train() -> None:
    assert [page for page, _ in PROGRAMS] == list(PAGES)


@pytest.mark.parametrize(("page", "program"), PROGRAMS, ids=[page for page, _ in PROGRAMS])
def test_a_program_that_trains_runs(page: str, program: str, place: Path) -> None:
    tiny = {**TINY, "model": {"name": str(place / "base"), "precision": "float32"}}
    shortened = program.replace('{"data": {', '{**TINY, "data": {').replace('"steps": 50', '"steps": 2')
    assert "**TINY" in shortened
    printed = run(shortened, TINY=tiny)
    (directory,) = (place / "runs").iterdir()
    assert (directory / "model" / "model.safetensors").is_file()
    assert "print(" not in program or f"runs/{directory.name}/model" in printed


def test_the_program_that_follows_a_run_prints_its_rewards(place: Path) -> None:
    assert FOLLOWING is not None
    directory = "runs/largest-grpo-20261123-101500"
    assert directory in FOLLOWING[1]
    tiny = {**TINY, "model": {"name": str(place / "base"), "precision": "float32"}, "data": {"task": "largest"}}
    train(build_config({**tiny, "run": {"steps": 2, "directory": directory}}), check=False)
    # Nothing is new behind the cursor of a run that has ended.
    assert run(FOLLOWING[1]) == ""
    assert len(run(FOLLOWING[1].replace("directory, news.cursor", "directory")).split()) == 2
