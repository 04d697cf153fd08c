"""What the documents promise: links that lead somewhere, names that exist, output that is what the code prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from verifine.config import AlgorithmConfig, RewardConfig, RunConfig
from verifine.config.recipes import RECIPES
from verifine.runs.metrics import METRICS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")])
ALGORITHMS = (ROOT / "docs/algorithms.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    local = [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_a_page_leads_to_a_heading(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_function_linked_by_name_is_where_the_link_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, target in re.findall(r"\[`(\w+)`\]\(([^)]*\.py)\)", text):
        source = (page.parent / target).read_text(encoding="utf-8")
        assert re.search(rf"^(def|class) {name}\b|^{name}\b", source, re.MULTILINE), f"{name} is not in {target}"


def test_the_page_of_algorithms_has_a_section_for_every_row() -> None:
    rows = ALGORITHMS.partition("## The rows")[2].partition("\n## ")[0]
    assert re.findall(r"^### (\w+)$", rows, re.MULTILINE) == list(RECIPES)


def test_the_page_of_algorithms_names_only_metrics_and_settings_that_exist() -> None:
    logged = ALGORITHMS.partition("## What each row logs")[2].partition("## ")[0]
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_<>]+)?)`", logged)) - set(RECIPES)
    sections: dict[str, type[BaseModel]] = {"algorithm": AlgorithmConfig, "reward": RewardConfig}
    settings = {field for schema in sections.values() for field in schema.model_fields}
    assert named - settings - {"low"} <= set(METRICS)
    for section, field in re.findall(r"`(algorithm|reward)\.(\w+)", ALGORITHMS):
        assert field in sections[section].model_fields, f"{section}.{field}"
    for section, field in re.findall(r"`(optim|sampling|model|run)\.(\w+)`", ALGORITHMS):
        annotation = RunConfig.model_fields[section].annotation
        assert field in getattr(annotation, "model_fields", {}), f"{section}.{field}"


@pytest.mark.parametrize("page", ["docs/algorithms.md", "docs/howto/sample-where-it-teaches.md"])
def test_the_numbers_on_a_page_are_those_the_code_prints(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert found is not None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(found[1], page, "exec"), {})
    assert printed.getvalue() == found[2]
