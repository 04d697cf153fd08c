from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine import train
from verifine.runs.directory import RunDirectory
from verifine.testing import save_tiny_model
from verifine.testing.sessions import grade, tiny_run

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("export")
    config = tiny_run(folder, save_tiny_model(folder / "base"), run={"steps": 1})
    return train(config, grader=grade, check=False).directory


def test_the_folder_and_its_files_are_told(run: RunDirectory, tmp_path: Path, verifine: Command) -> None:
    code, out, _ = verifine("export", run.path, "--to", "merged", "--out", tmp_path / "out")
    assert code == 0
    assert out.splitlines()[-1].startswith(f"Saved   {tmp_path / 'out'} (README.md, ")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_json_is_one_object_on_standard_output(run: RunDirectory, tmp_path: Path, verifine: Command) -> None:
    code, out, _ = verifine("export", run.path, "--to", "merged", "--out", tmp_path / "out", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["folder"] == str(tmp_path / "out")
    assert set(told["files"]) == {path.name for path in (tmp_path / "out").iterdir()}


def test_prompts_and_answers_stay_here_on_request(run: RunDirectory, tmp_path: Path, verifine: Command) -> None:
    for name, options in (("with", []), ("without", ["--no-samples"])):
        verifine("export", run.path, "--to", "merged", "--out", tmp_path / name, *options)
    card = (tmp_path / "with" / "README.md").read_text()
    assert "Largest of 16, 32" in card
    assert "Largest of" not in (tmp_path / "without" / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--to", "merged", "--dtype", "q8_0"], 2, "--dtype q8_0"),
        (["--to", "adapter"], 3, "has no adapters"),
        (["--to", "tarball"], 2, "tarball"),
    ],
)
def test_what_cannot_be_is_one_message(
    words: list[str], code: int, told: str, run: RunDirectory, tmp_path: Path, verifine: Command
) -> None:
    found, _, errors = verifine("export", run.path, *words, "--out", tmp_path / "out")
    assert found == code
    assert told in errors
    assert not (tmp_path / "out").exists()


def test_the_hub_needs_a_repository_and_a_token(run: RunDirectory, verifine: Command) -> None:
    code, _, errors = verifine("export", run.path, "--to", "hub")
    assert code == 2
    assert "--repo OWNER/NAME" in errors
    code, _, errors = verifine("export", run.path, "--to", "hub", "--repo", "mira/sums")
    assert code == 3
    assert "HF_HUB_OFFLINE is set" in errors, "as it is in all tests"


def test_options_of_the_hub_belong_to_the_hub(run: RunDirectory, verifine: Command) -> None:
    code, _, errors = verifine("export", run.path, "--to", "merged", "--public")
    assert code == 2
    assert "belong to --to hub" in errors
