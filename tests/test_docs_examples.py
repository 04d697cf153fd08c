"""What README and docs show is what there is: commands, configs, graders, rows, settings, metrics, findings, files."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import pytest
import typer
from pydantic import BaseModel, TypeAdapter

from verifine.cli.main import app
from verifine.config import GRADER_PRESETS, AnyGrader, GraderConfig, RunConfig, load_config
from verifine.config.document import parse_document
from verifine.data import read_examples
from verifine.models.chat.hidden import ChatPart
from verifine.runs.metrics import METRICS
from verifine.service.access.audit import Act

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        ROOT / "README.md",
        *ROOT.glob("examples/*/README.md"),
        *(page for page in ROOT.glob("docs/**/*.md") if not {"results", "decisions"} & set(page.parts)),
    ]
)
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
GRADER: TypeAdapter[AnyGrader] = TypeAdapter(GraderConfig)


def blocks(*kinds: str) -> list[tuple[str, str]]:
    """The blocks of these kinds on all pages, each with the name of its page."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in PAGES
        for kind, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if kind in kinds
    ]


def commands() -> Iterator[tuple[str, str]]:
    """Every command line of ours, without what the shell makes of it."""
    for page, text in blocks("", "console", "bash", "sh"):
        if "docs/reference" in page:
            continue
        for line in text.replace("\\\n", " ").splitlines():
            command = re.match(r"^\s*(?:\$ )?(?:pip install .* && )?verifine (?P<words>.*)$", line)
            if command is not None and "..." not in line:
                yield page, command["words"]


def one_place(page_and_text: tuple[str, str]) -> str:
    page, text = page_and_text
    return f"{page}: {text.strip().splitlines()[0][:60]}"


@pytest.mark.parametrize("shown", sorted(set(commands())), ids=one_place)
def test_every_command_line_is_understood(shown: tuple[str, str]) -> None:
    words = shlex.split(shown[1], comments=True)
    command: Any = typer.main.get_command(app)
    context = click.Context(command, info_name="verifine")
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        context = click.Context(command, info_name=name, parent=context)
    command.make_context(context.info_name, list(words), parent=context.parent)


@pytest.mark.parametrize("shown", blocks("yaml"), ids=one_place)
def test_every_config_is_one(shown: tuple[str, str], tmp_path: Path) -> None:
    values = parse_document(shown[1], "the page").value
    assert isinstance(values, dict)
    path = tmp_path / "run.yaml"
    path.write_text(shown[1] if "data" in values else f"{shown[1]}\ndata: {{train: train.jsonl}}\n")
    load_config(path)


def decoded(text: str) -> Iterator[dict[str, object]]:
    """The objects that stand one after the other, each on a line or on several."""
    while text.strip():
        value, end = json.JSONDecoder().raw_decode(text.lstrip())
        text = text.lstrip()[end:]
        yield value


@pytest.mark.parametrize("shown", blocks("json"), ids=one_place)
def test_every_json_is_a_grader_or_a_row(shown: tuple[str, str], tmp_path: Path) -> None:
    values = list(decoded(shown[1]))
    rows = [value for value in values if "messages" in value]
    if rows:
        path = tmp_path / "train.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        assert len(read_examples(path)) == len(values)
    else:
        GRADER.validate_python(*values)


def imported() -> list[tuple[str, str]]:
    """The names that programs on the pages import from us."""
    found = set()
    for page, text in blocks("python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("verifine"):
                found |= {(page, f"from {node.module} import {name.name}") for name in node.names}
    return sorted(found)


@pytest.mark.parametrize("shown", imported(), ids=one_place)
def test_every_name_that_a_program_imports_is_there(shown: tuple[str, str]) -> None:
    exec(shown[1], {})


SECTIONS = tuple(RunConfig.model_fields)
SETTING = re.compile(rf"`((?:{'|'.join(SECTIONS)})(?:\.[a-z_]+)+)(?:=[^`]*|: [^`]*)?`")
FILE_ENDINGS = (".json", ".jsonl", ".yaml", ".md", ".py", ".safetensors", ".png", ".svg", ".html")


def settings() -> list[tuple[str, str]]:
    """What looks like one; acts of the audit, such as `model.delete`, do as well."""
    found = {
        (str(page.relative_to(ROOT)), name)
        for page in PAGES
        for name in SETTING.findall(page.read_text(encoding="utf-8"))
        if not name.endswith(FILE_ENDINGS) and name not in get_args(Act)
    }
    return sorted(found)


def reaches(annotation: object, keys: tuple[str, ...]) -> bool:
    """Whether the schema has a field at the end of the keys; the keys of a mapping are the user's."""
    if not keys:
        return True
    if get_origin(annotation) is Mapping:
        return reaches(get_args(annotation)[1], keys[1:])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(keys[0])
        return field is not None and reaches(field.annotation, keys[1:])
    return any(reaches(member, keys) for member in get_args(annotation))


@pytest.mark.parametrize("shown", settings(), ids=one_place)
def test_every_setting_that_a_page_names_is_one(shown: tuple[str, str]) -> None:
    assert reaches(RunConfig, tuple(shown[1].split(".")))


METRIC = re.compile(
    r"`((?:completions|mismatch|grader|memory|groups|importance|critic|clip_ratio|ratio|timing)/[a-z_0-9]+)`"
)


def metrics() -> list[tuple[str, str]]:
    pages = ((str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")) for page in PAGES)
    return sorted({(page, name) for page, text in pages for name in METRIC.findall(text)})


@pytest.mark.parametrize("shown", metrics(), ids=one_place)
def test_every_metric_that_a_page_names_is_one(shown: tuple[str, str]) -> None:
    assert shown[1] in METRICS


FILE = re.compile(r"`((?:tests|benchmarks|examples)/[\w/.-]+|(?:models|rollout|config)/[\w/]+\.py)`")


@pytest.mark.parametrize(
    "shown",
    sorted(
        {
            (str(page.relative_to(ROOT)), name)
            for page in PAGES
            for name in FILE.findall(page.read_text(encoding="utf-8"))
        }
    ),
    ids=one_place,
)
def test_every_file_that_a_page_names_is_there(shown: tuple[str, str]) -> None:
    assert (ROOT / shown[1]).exists() or (ROOT / "src" / "verifine" / shown[1]).exists()


def findings_of_the_check() -> set[str]:
    """The names that the check's modules give to findings."""
    names = {f"hidden_{part.name.lower()}" for part in ChatPart}
    for file in (ROOT / "src" / "verifine" / "preflight").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == "Finding":
                given = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
            else:
                given = node.args[1:2] if node.func.id == "_finding" else []
            names |= {
                value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)
            }
    return names


def test_the_page_about_the_check_explains_every_finding_and_no_other() -> None:
    page = (ROOT / "docs/howto/check-before-training.md").read_text(encoding="utf-8")
    table = page.partition("## What each finding means")[2].partition("\n## ")[0]
    explained = {
        name for cell in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }
    assert explained - {"name"} == findings_of_the_check()


def test_the_presets_that_the_command_line_names_are_there() -> None:
    for _, words in commands():
        named = re.search(r"--grader (\w+)(?= |$)", words)
        assert named is None or named[1] in GRADER_PRESETS


def test_the_complete_example_can_be_graded(tmp_path: Path) -> None:
    folder = ROOT / "examples" / "extract"
    subprocess.run([sys.executable, folder / "make_data.py", tmp_path], check=True)
    config = load_config(folder / "run.yaml")
    for location in (config.data.train, config.data.eval):
        examples = read_examples(tmp_path / str(location), config.data.columns, config.data.system_prompt)
        assert len(examples) >= 64
        assert json.loads(str(examples[0].item["gt_answer"])) == examples[0].item["fields"]
