from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.cli.init import find_recipes, what_to_change
from verifine.config import load_config

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def init(verifine: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs `verifine init` in an empty folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda *words: verifine("init", *words)


def test_a_recipe_is_copied_without_its_results_and_says_what_to_change(init: Command) -> None:
    code, output, _ = init("mathematics")
    assert code == 0
    copied = Path("mathematics")
    assert {file.name for file in copied.iterdir()} == {"README.md", "make_data.py", "run.yaml"}
    assert load_config(copied / "run.yaml").data.train
    assert output.startswith("mathematics is yours")
    assert "run.yaml" in output.partition("\n")[2]


def test_the_folder_can_have_another_name(init: Command) -> None:
    assert init("mathematics", "deep/sums")[0] == 0
    assert Path("deep/sums/run.yaml").exists()


def test_every_recipe_says_what_to_change() -> None:
    assert [name for name, folder in find_recipes().items() if not what_to_change(folder)] == []


def test_without_a_name_all_recipes_are_listed(init: Command) -> None:
    code, output, _ = init()
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == [*find_recipes()]


def test_an_unknown_recipe_is_refused_with_the_nearest_name(init: Command) -> None:
    code, _, errors = init("mathematic")
    assert code == 2
    assert 'did you mean "mathematics"' in errors


def test_a_folder_that_is_there_is_left_alone(init: Command) -> None:
    Path("mathematics").mkdir()
    Path("mathematics/mine.txt").write_text("mine")
    code, _, errors = init("mathematics")
    assert code == 2
    assert "give another folder" in errors
    assert [file.name for file in Path("mathematics").iterdir()] == ["mine.txt"]


def test_a_folder_below_a_file_is_refused(init: Command) -> None:
    Path("taken").write_text("")
    code, _, errors = init("mathematics", "taken/mathematics")
    assert code == 2
    assert "cannot be written" in errors


def test_the_package_has_every_recipe() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {f"examples/{name}": f"verifine/examples/{name}" for name in find_recipes()}
