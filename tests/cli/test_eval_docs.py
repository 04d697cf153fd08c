"""The page about evaluating a model: its commands run as they stand there, and print what it says, numbers aside."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.config import load_config
from verifine.testing import save_tiny_model

pytestmark = pytest.mark.slow

Command = Callable[..., tuple[int, str, str]]

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "evaluate-a-model.md").read_text(encoding="utf-8")
FILES = re.findall(r'^```json title="([\w.]+)"\n(.*?)```', PAGE, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"^```console\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ verifine ") for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")
]
MODEL = "SmolLM2-135M-Instruct"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the page speaks of, made of a tiny model."""
    from verifine.config import build_config
    from verifine.launch.session import train

    folder = tmp_path_factory.mktemp("place")
    save_tiny_model(folder / MODEL)
    rows = [{"messages": [{"role": "user", "content": f"{i} + {i} = ?"}], "gt_answer": str(2 * i)} for i in range(24)]
    (folder / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name, text in FILES:
        (folder / name).write_text(text)
    values = {
        "model": {"name": str(folder / MODEL), "precision": "float32"},
        "data": {"task": "largest"},
        "sampling": {"prompts_per_step": 1, "group_size": 2, "max_new_tokens": 4},
        "run": {"steps": 1, "directory": str(folder / "runs" / "largest")},
    }
    train(build_config(values), check=False)
    return folder


def test_there_are_commands_to_run() -> None:
    assert len(COMMANDS) >= 7
    assert len(FILES) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_what_the_page_says_numbers_aside(
    command: str, place: Path, verifine: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "100")
    code, printed, err = verifine(*shlex.split(command), "data.eval_size=4")
    assert (code, err) == (0, "")
    if shown := output_of(command):
        assert title(printed) == title(shown)
        assert row_names(printed) == row_names(shown)


def test_the_settings_on_the_page_make_a_run(tmp_path: Path) -> None:
    [text] = re.findall(r"^```yaml\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "run.yaml").write_text(text)
    config = load_config(tmp_path / "run.yaml")
    assert (config.evaluation.samples, config.evaluation.keep, config.run.eval_interval) == (4, "best", 10)


def output_of(command: str) -> str:
    """What the page shows below a command; empty: nothing."""
    block: str = next(block for block in BLOCKS if f"$ verifine {command}\n" in block)
    return block.partition(f"$ verifine {command}\n")[2].partition("$ ")[0]


def title(text: str) -> str:
    return re.sub(r"^\d+", "N", text.splitlines()[0])


def row_names(text: str) -> list[str]:
    """What the rows of the table are called."""
    rows = text.split("\n\n")[1].splitlines()[1:]
    return [row.partition("  ")[0] for row in rows]
