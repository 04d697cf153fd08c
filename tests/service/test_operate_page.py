"""What docs/operate.md says of options, scopes, limits and acts is what the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from typer.main import get_command

from verifine.cli.main import app
from verifine.service.access.audit import Act
from verifine.service.access.lifetime import read_lifetime
from verifine.service.access.scopes import SCOPES
from verifine.service.limits import ServiceLimits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operate.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    return PAGE.partition(f"## {name}\n")[2].partition("\n## ")[0]


def test_every_scope_has_a_row_and_the_usual_ones_are_named() -> None:
    assert re.findall(r"^\| `(\w+)` \|", section("Owners and keys"), re.MULTILINE) == list(SCOPES)
    create = get_command(app).commands["keys"].commands["create"]  # type: ignore[attr-defined]
    [usual] = [parameter.default for parameter in create.params if parameter.name == "scopes"]
    assert "Without `--scopes` a key has `{}` and `{}`.".format(*usual.split(",")) in PAGE


def test_the_quotas_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", section("Quotas"), re.MULTILINE))
    limits = {name: str(value) for name, value in ServiceLimits().model_dump().items() if name.startswith("owner_")}
    assert rows == limits


@pytest.mark.parametrize("verb", ["serve", "keys"])
def test_every_option_on_the_page_is_one_of_the_command(verb: str) -> None:
    command = get_command(app).commands[verb]  # type: ignore[attr-defined] # a group has commands
    commands = list(getattr(command, "commands", {"": command}).values())
    options = {option for each in commands for parameter in each.params for option in parameter.opts}
    blocks = [block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if f"verifine {verb}" in block]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if f"verifine {verb}" in line]
    named = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
    assert named
    assert named <= options
    assert [read_lifetime(each) for line in lines for each in re.findall(r"--expires (\w+)", line)] in (
        [],
        [90 * 86400],
    )


def test_the_kinds_of_acts_are_those_that_the_page_tells_of() -> None:
    told = {"key": "keys made", "session": "browsers signed in", "file": "files uploaded", "job": "jobs made"}
    told |= {"model": "models deleted", "endpoint": "loaded", "mark": "answers marked"}
    assert {act.partition(".")[0] for act in get_args(Act)} == told.keys()
    for words in told.values():
        assert words in section("The audit")


def test_the_modules_and_tests_that_the_threat_model_names_are_there() -> None:
    named = re.findall(r"`((?:src|tests)/[\w/]+\.py)`", SECURITY)
    assert len(named) >= 2
    assert [path for path in named if not (ROOT / path).is_file()] == []
