"""Runs every command of every recipe's README, and writes what came of it.

    python examples/run_all.py                 # all recipes; hours on two cores
    python examples/run_all.py route --out out # one

Each recipe is copied into a folder below --out, where its commands run in their order. The results of its sweep become
`result.json` beside its README, and at the end the table and the figure of docs/recipes.md are made from all of them.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import recipe_page
from recipe_commands import commands_of
from recipe_results import result_of_runs, write_result

EXAMPLES = Path(__file__).parent
RECIPES = sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))


def run_recipe(name: str, out: Path) -> None:
    folder = out / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("result.json"))
    with ExitStack() as background:
        for command in commands_of(EXAMPLES / name / "README.md"):
            print(f"{name}: {' '.join(command)}", flush=True)
            program = [sys.executable, *(["-m", "verifine"] if command[0] == "verifine" else [])]
            if command[-1] == "&":
                started = subprocess.Popen([*program, *command[1:-1]], cwd=folder)
                background.callback(started.wait)
                background.callback(started.terminate)
            else:
                subprocess.run([*program, *command[1:]], cwd=folder, check=True)
    runs = sorted((folder / "sweeps" / name / "runs").iterdir())
    write_result(EXAMPLES / name / "result.json", result_of_runs(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES, metavar="NAME", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--out", type=Path, default=Path("recipes"), help="a folder that is not there yet")
    options = parser.parse_args()
    for name in options.recipes:
        run_recipe(name, options.out)
    recipe_page.main()


if __name__ == "__main__":
    main()
