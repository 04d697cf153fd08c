from __future__ import annotations

from pathlib import Path

import pytest
from recipe_commands import commands_of
from recipe_page import table
from recipe_results import HeldOut, RecipeResult, SeedResult


def held_out(share: float | None, well_formed: float | None, others: float | None) -> HeldOut:
    parts = (share or 0.0) * (well_formed or 0.0) + (1 - (share or 0.0)) * (others or 0.0)
    return HeldOut(score=parts, interval=None, format_share=share, well_formed=well_formed, others=others)


def run(base: HeldOut, tuned: HeldOut) -> SeedResult:
    return SeedResult(
        seed=0,
        steps=2,
        minutes=1.5,
        base=base,
        tuned=tuned,
        difference=tuned.score - base.score,
        interval=(0.1, 0.3),
        p_value=0.0001,
        rewards=(0.1, 0.2),
    )


@pytest.mark.parametrize(
    ("base", "tuned", "by_form"),
    [
        (held_out(0.5, 0.4, 0.0), held_out(1.0, 0.4, None), 0.2),  # the form alone
        (held_out(1.0, 0.4, None), held_out(1.0, 0.9, None), 0.0),  # the answers alone
        (held_out(0.5, 0.4, 0.2), held_out(1.0, 0.9, None), 0.1),  # 0.3 before, 0.9 after
        (held_out(0.0, None, 0.2), held_out(1.0, 0.9, None), None),  # what well-formed answers scored is not known
        (held_out(None, None, None), held_out(None, None, None), None),
    ],
)
def test_a_gain_is_divided_into_form_and_answers(base: HeldOut, tuned: HeldOut, by_form: float | None) -> None:
    gain = run(base, tuned).gain_by_form
    assert gain == (None if by_form is None else pytest.approx(by_form))


def test_the_table_has_a_row_for_each_run() -> None:
    one = run(held_out(0.5, 0.4, 0.2), held_out(1.0, 0.9, None))
    result = RecipeResult(measure="second_answer", problems=160, machine="2 cores", runs=(one, one))
    lines = table({"sums": result}).splitlines()
    assert len(lines) == 4
    assert lines[2] == (
        "| [sums](../examples/sums/README.md) | 0 | right answers, whatever their form, 160 rows | 0.30 | 0.90 "
        "| +0.60 (0.10 to 0.30, p < 0.001) | +0.10 | +0.50 | 2 | 1.5 |"
    )


def test_commands_are_those_of_blocks_for_a_shell(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(
        "```\npython make_data.py\nverifine train run.yaml \\\n  run.seed=1\n```\n\n"
        '```jsonl\nverifine no\n```\n\nverifine neither\n\n```console\n$ verifine grade run --sample "a b"\n```\n',
        encoding="utf-8",
    )
    assert [*commands_of(page)] == [
        ["python", "make_data.py"],
        ["verifine", "train", "run.yaml", "run.seed=1"],
        ["verifine", "grade", "run", "--sample", "a b"],
    ]
