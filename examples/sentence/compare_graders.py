"""Prints what the grader of run.yaml and those in gamed/ give to the answers that README.md shows.

python compare_graders.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from verifine.graders import build_grader, load_grader_config
from verifine.types import Sample


def scores(grader_file: Path, samples: list[Sample]) -> list[float]:
    """Of each answer; one that cannot be graded would be NaN."""
    grader = build_grader(load_grader_config(str(grader_file)))
    try:
        return [float("nan") if grade.score is None else grade.score for grade in grader.grade(samples)]
    finally:
        grader.close()


def main() -> None:
    page = Path("README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```jsonl\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    rows = [json.loads(line) for line in block.splitlines()]
    samples = [Sample(output_text=row["sample"] * row.get("times", 1), item=row["item"]) for row in rows]
    files = [*sorted(Path("gamed").glob("*.yaml")), Path("run.yaml")]
    columns = [scores(file, samples) for file in files]
    print(f"{'':<20}" + "".join(f"{file.stem:>13}" for file in files))
    for row, *values in zip(rows, *columns, strict=True):
        print(f"{row['what']:<20}" + "".join(f"{value:13.2f}" for value in values))


if __name__ == "__main__":
    main()
