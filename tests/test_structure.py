"""The shape of the house: files that can be read in one go, and no module without a subject."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "verifine"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 400
WITHOUT_A_SUBJECT = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "docs"])
def test_no_file_is_longer_than_400_lines(folder: str) -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in (ROOT / folder).rglob("*.py")
    }
    assert {file: lines for file, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_module_is_named_after_its_subject() -> None:
    names = {file.parent.name if file.name == "__init__.py" else file.stem for file in FILES}
    assert names & WITHOUT_A_SUBJECT == set()


def test_no_public_class_or_function_has_the_name_of_another() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for file in FILES:
        if file.parent.name == "versions":  # the names of Alembic's steps are its own
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                homes[node.name].append(str(file.relative_to(SOURCE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}
