"""`verifine init`: copies a recipe into a folder, and says what to change."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated

import typer

import verifine
from verifine.errors import ConfigError

PAGE = "README.md"
_RESULT = "result.json"
_OWN_DATA = re.compile(r"^## Your own data\n+(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def init_command(
    recipe: Annotated[str | None, typer.Argument(help="The recipe; without it, all are listed.")] = None,
    folder: Annotated[Path | None, typer.Argument(help="The new folder; ./RECIPE if not given.")] = None,
) -> None:
    """Copy a recipe into a folder of your own: data, grader, settings, and a README with every command."""
    recipes = find_recipes()
    if recipe is None:
        for name, place in recipes.items():
            print(f"{name:<12} {_title(place)}")
        return
    if recipe not in recipes:
        from verifine.data.suggestion import did_you_mean

        raise ConfigError(
            f'there is no recipe "{recipe}"{did_you_mean(recipe, recipes)}; give one of {", ".join(recipes)}'
        )
    copied = copy_recipe(recipes[recipe], folder or Path(recipe))
    print(f"{copied} is yours: begin with its {PAGE}.\n\n{what_to_change(copied)}")


def find_recipes() -> dict[str, Path]:
    """The folders of the recipes by name: in the package, or in the repository that it runs from."""
    package = Path(verifine.__file__).parent
    inside, beside = package / "examples", package.parent.parent / "examples"
    return {page.parent.name: page.parent for page in sorted((inside if inside.is_dir() else beside).glob(f"*/{PAGE}"))}


def copy_recipe(recipe: Path, folder: Path) -> Path:
    """The new folder. What came of the recipe elsewhere is left behind.

    Raises:
        ConfigError: the folder is there already, or cannot be made.
    """
    try:
        shutil.copytree(recipe, folder, ignore=shutil.ignore_patterns(_RESULT, "__pycache__"))
    except FileExistsError as error:
        raise ConfigError(
            f"{folder} is there already; give another folder: verifine init {recipe.name} FOLDER"
        ) from error
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror}); give another folder") from error
    return folder


def what_to_change(recipe: Path) -> str:
    """What the README of a recipe says about data of one's own."""
    found = _OWN_DATA.search((recipe / PAGE).read_text(encoding="utf-8"))
    return found[1].strip() if found else ""


def _title(recipe: Path) -> str:
    return (recipe / PAGE).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
