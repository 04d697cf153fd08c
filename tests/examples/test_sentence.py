from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from recipe_page import EXAMPLES


def test_the_page_shows_what_the_graders_give() -> None:
    folder = EXAMPLES / "sentence"
    shown = subprocess.run(
        [sys.executable, "compare_graders.py"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    assert f"$ python compare_graders.py\n{shown}```" in Path(folder, "README.md").read_text(encoding="utf-8")
