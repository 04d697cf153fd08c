from __future__ import annotations

import re
from pathlib import Path

from verifine.serving import ServingLimits

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for package in ("serving", "wire")
    for path in (ROOT / "src/verifine" / package).glob("*.py")
)


def test_the_page_has_every_limit_with_its_default() -> None:
    section = PAGE.partition("## Limits")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", section, re.MULTILINE))
    assert rows == {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in ServingLimits().model_dump().items()
    }


def test_the_page_has_every_code_of_an_error() -> None:
    section = PAGE.partition("## Errors")[2].partition("\n## ")[0]
    told = {
        code
        for row in re.findall(r"^\| \d+ \| (.*?) \|", section, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", row)
    }
    assert told == set(re.findall(r'code(?:: str)?(?: \| None)? ?= ?"(\w+)"', SOURCES))
