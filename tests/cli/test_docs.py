"""The commands on the page about designing a reward print what the page says."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "design-a-reward.md").read_text(encoding="utf-8")
BODY = r"((?:(?!```).*\n)+)```"
FILES = re.findall(rf'^```json title="([\w.]+)"\n{BODY}', PAGE, re.MULTILINE)
COMMANDS = re.findall(rf"^```console\n\$ verifine (.*)\n{BODY}", PAGE, re.MULTILINE)


def test_there_are_commands_to_run() -> None:
    assert len(FILES) >= 3
    assert len(COMMANDS) >= 3


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_prints_what_the_page_says(
    command: str,
    output: str,
    verifine: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    code, printed, _ = verifine(*shlex.split(command))
    assert code == 0
    assert without_times(printed) == without_times(output)


def test_the_answer_of_a_lazy_model_gets_what_the_page_says(
    verifine: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (command,) = re.findall(r"^```\nverifine (grade run .*)\n```\n\nprints `\"reward\": 1.0`", PAGE, re.MULTILINE)
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, printed, _ = verifine(*shlex.split(command))
    assert (code, json.loads(printed)["reward"]) == (0, 1.0)
    strict = command.replace("contains.json", "value.json")
    assert json.loads(verifine(*shlex.split(strict))[1])["reward"] == 0.0


def without_times(text: str) -> list[str]:
    """Its lines, without what differs from machine to machine."""
    lines = [line.rstrip() for line in text.strip().splitlines() if not line.startswith("time,")]
    return [re.sub(r"[\d.]+ m?s\b", "TIME", line) for line in lines]
