"""The recipes in examples/: their data, their graders, every command of their READMEs, and what came of them."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from recipe_commands import commands_of
from recipe_page import EXAMPLES, FIGURE, PAGE, figure, read_results, with_table
from recipe_results import read_result, result_of_runs, write_result
from run_all import RECIPES

from verifine.cli.main import main
from verifine.config import load_config
from verifine.data import Examples, read_examples
from verifine.graders import Services, build_grader, load_grader_config
from verifine.testing import save_tiny_model
from verifine.types import Sample

INSTANCE: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "code": lambda item: item["pair"],
    "contract": lambda item: item["wording"],
    "extract": lambda item: item["fields"]["name"],
    "json": lambda item: item["booking"]["name"],
    "judge": lambda item: item["thing"],
    "mathematics": lambda item: item["formula"],
    "route": lambda item: item["wording"],
    "sentence": lambda item: item["subject"],
    "triage": lambda item: item["complaint"],
    "your-algorithm": lambda item: item["question"],
}
"""What of a row may not be in a row of the other side."""

ATTACKS = {"empty", "copy of the prompt", "all options", "very long", "keyword stuffing"}
SHORT: Mapping[str, Mapping[str, object]] = {
    "data": {"eval_size": 2},
    "sampling": {"prompts_per_step": 2, "max_new_tokens": 4},
    "run": {"steps": 1},
}
MODEL = "SmolLM2-135M-Instruct"
JUDGE_PORT = "8765"
SHORT_WORDS = {"run.seed=0,1,2": "run.seed=0,1"}
"""A sweep trains each run in a process of its own, which takes seconds to begin."""


@pytest.fixture(params=RECIPES)
def recipe(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a recipe's folder, with its data."""
    folder = tmp_path / str(request.param)
    shutil.copytree(EXAMPLES / request.param, folder, ignore=shutil.ignore_patterns("__pycache__"))
    port = str(free_port())
    for file in [*folder.glob("*.yaml"), *folder.glob("*.py")]:
        file.write_text(file.read_text(encoding="utf-8").replace(JUDGE_PORT, port), encoding="utf-8")
    subprocess.run([sys.executable, "make_data.py"], cwd=folder, check=True)
    return folder


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def background(recipe: Path) -> Iterator[None]:
    """What the page of a recipe starts and leaves running, such as a judge."""
    commands = [words for words in commands_of(EXAMPLES / recipe.name / "README.md") if words[-1] == "&"]
    started = [subprocess.Popen([sys.executable, *words[1:-1]], cwd=recipe) for words in commands]
    yield
    for process in started:
        process.terminate()
        process.wait()


def rows(folder: Path) -> tuple[Examples, Examples]:
    """To train on, and held out."""
    data = load_config(folder / "run.yaml").data
    train, held_out = (
        read_examples(folder / str(name), data.columns, data.system_prompt) for name in (data.train, data.eval)
    )
    return train, held_out


def test_the_data_are_the_same_each_time(recipe: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    subprocess.run([sys.executable, recipe / "make_data.py", again], check=True)
    assert [*again.iterdir()] != []
    assert all(file.read_bytes() == (recipe / file.name).read_bytes() for file in again.iterdir())


def test_no_instance_of_a_template_is_both_trained_on_and_held_out(recipe: Path) -> None:
    train, held_out = ({INSTANCE[recipe.name](row.item) for row in side} for side in rows(recipe))
    assert len(held_out) > 4
    assert train & held_out == set()


def test_all_held_out_rows_are_asked_and_none_twice(recipe: Path) -> None:
    _, held_out = rows(recipe)
    assert len(held_out) == load_config(recipe / "run.yaml").data.eval_size
    assert len(set(held_out.fingerprints)) == len(held_out)


def graded_lines(readme: Path) -> list[dict[str, object]]:
    """The answers that the page shows with their scores; `times` repeats one."""
    (block,) = re.findall(r"^```jsonl\n(.*?)^```$", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [json.loads(line) for line in block.splitlines()]


@pytest.mark.usefixtures("background")
def test_answers_that_try_to_cheat_score_what_the_page_says(recipe: Path) -> None:
    lines = graded_lines(recipe / "README.md")
    assert {str(line["what"]) for line in lines} >= ATTACKS
    samples = [
        Sample(output_text=str(line["sample"]) * int(str(line.get("times", 1))), item=dict(line["item"]))  # type: ignore[call-overload]
        for line in lines
    ]
    grading = load_config(recipe / "run.yaml").grading
    grader = build_grader(load_grader_config(str(recipe / "run.yaml")), Services().for_run(grading))
    try:
        grades = grader.grade(samples)
    finally:
        grader.close()
    assert [grade.score for grade in grades] == [pytest.approx(line["score"]) for line in lines]


@pytest.mark.slow
@pytest.mark.usefixtures("background")
def test_every_command_of_the_page_runs(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In short: with a tiny model, and for one step."""
    tiny = tiny_model_that_reads_long_prompts(recipe / "tiny")
    for file in recipe.glob("*.yaml"):
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        if "model" in config and "data" in config:
            shortened = {section: {**config[section], **values} for section, values in SHORT.items()}
            file.write_text(yaml.safe_dump({**config, **shortened, "model": str(tiny)}), encoding="utf-8")
    monkeypatch.chdir(recipe)
    commands = [*commands_of(EXAMPLES / recipe.name / "README.md")]
    assert {"check", "train", "sweep"} <= {command[1] for command in commands}
    for command in commands:
        words = [SHORT_WORDS.get(word, str(tiny) if word == MODEL else word) for word in command]
        if words[-1] == "&":
            continue  # it runs already
        if words[0] == "python":
            skipped = ["--skip-check"] if words[1] == "train.py" else []
            subprocess.run([sys.executable, *words[1:], *skipped], check=True)
            continue
        monkeypatch.setattr(sys, "argv", [*words, *skip_what_a_tiny_model_fails(words[1])])
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        assert ended.value.code in (0, None, *([4] if words[1] == "check" else [])), capsys.readouterr().err
    result = result_of_runs([*Path("sweeps", recipe.name, "runs").iterdir()])
    assert [run.seed for run in result.runs][:2] == [0, 1]
    write_result(Path("result.json"), result)
    assert read_result(Path("result.json")) == result


def tiny_model_that_reads_long_prompts(folder: Path) -> Path:
    """Its tokens are characters, so it needs more of them."""
    config = save_tiny_model(folder) / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**values, "max_position_embeddings": 4096}), encoding="utf-8")
    return folder


def skip_what_a_tiny_model_fails(verb: str) -> list[str]:
    return ["--skip-check"] if verb in ("train", "sweep") else []


def test_the_page_of_recipes_has_the_table_of_their_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    results = read_results()
    assert results
    assert with_table(page, results) == page
    assert FIGURE.name in page


def test_every_recipe_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in RECIPES if f"../examples/{name}/README.md" not in page] == []


def test_the_figure_is_drawn_from_the_results() -> None:
    assert figure(read_results()).startswith(b"\x89PNG")
