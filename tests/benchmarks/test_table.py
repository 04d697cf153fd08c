from __future__ import annotations

import json
from pathlib import Path

import pytest
import table


def test_table_lines_up_and_shows_three_digits() -> None:
    lines = table.render(("name", "value"), [("a", 1.2345), ("long", 1234.5), ("none", None)]).splitlines()
    assert lines == [
        "| name | value |",
        "| ---- | ----- |",
        "|    a |  1.23 |",
        "| long |  1234 |",
        "| none |     - |",
    ]


def test_json_goes_to_the_file_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.publish("text", [{"a": 1}], str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == [{"a": 1}]
    assert capsys.readouterr().out == "text\n"
