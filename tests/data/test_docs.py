"""The page on data: what it shows is read, what it says is refused is refused in these words."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from verifine.config import RunConfig, load_config
from verifine.data import read_examples
from verifine.errors import DataError
from verifine.graders import build_grader
from verifine.types import Sample

WHOLE_PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
PAGE = re.sub(r"^## Rows made for other systems\n.*?(?=^## )", "", WHOLE_PAGE, flags=re.DOTALL | re.MULTILINE)
"""Without the section that test_other_systems.py reads."""
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A file of the page, with what stands directly behind it."""

    kind: str
    data: str
    config: str | None
    error: str | None


def shown_files() -> list[Shown]:
    """A file is followed by the config it is read with, if it has one, and by its error, if it has one."""
    found = []
    for position, (kind, data) in enumerate(BLOCKS):
        if kind in ("jsonl", "csv"):
            following = BLOCKS[position + 1 :]
            config = following.pop(0)[1] if following[0][0] == "yaml" else None
            error = following[0][1] if following[0][0] == "text" else None
            found.append(Shown(kind=kind, data=data, config=config, error=error))
    return found


def config_of(text: str, folder: Path) -> RunConfig:
    path = folder / "run.yaml"
    path.write_text(text)
    return load_config(path)


def test_the_page_shows_what_is_read_and_what_is_refused() -> None:
    files = shown_files()
    assert [sum(each.kind == kind for each in files) for kind in ("jsonl", "csv")] == [9, 5]
    assert sum(each.error is not None for each in files) == 5
    assert {kind for kind, _ in BLOCKS} == {"jsonl", "csv", "yaml", "text", "python"}


@pytest.mark.parametrize("shown", shown_files(), ids=lambda shown: shown.data[:40])
def test_every_file_on_the_page_is_read_or_refused_as_it_says(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(f"train.{shown.kind}")
    path.write_text(shown.data)
    columns = None if shown.config is None else config_of(shown.config, tmp_path).data.columns
    if shown.error is None:
        assert len(read_examples(path, columns)) == (1 if shown.data.count("\n") == 1 else 2)
        return
    with pytest.raises(DataError) as caught:
        read_examples(path, columns)
    assert f"{caught.value}\n" == shown.error


def test_the_grader_of_the_gsm8k_example_reads_the_answer_of_its_row(tmp_path: Path) -> None:
    (shown,) = [each for each in shown_files() if each.config is not None and "gsm8k" in each.config]
    assert shown.config is not None
    config = config_of(shown.config, tmp_path)
    (tmp_path / "train.jsonl").write_text(shown.data)
    (row,) = read_examples(tmp_path / "train.jsonl", config.data.columns)
    assert config.grader is not None
    grader = build_grader(config.grader)
    texts = ["<answer>72</answer>", "<answer>24</answer>", "72"]
    assert [grade.score for grade in grader.grade([Sample(output_text=text, item=row.item) for text in texts])] == [
        1,
        0.1,
        0,
    ]


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "yaml"])
def test_every_config_on_the_page_is_one(text: str, tmp_path: Path) -> None:
    assert config_of(text, tmp_path).data.columns


def test_the_program_on_the_page_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ((_, program), (kind, expected)) = BLOCKS[-2:]
    assert kind == "text"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "docs/data.md", "exec"), {})
    assert printed.getvalue() == expected
