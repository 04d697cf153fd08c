from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.insights.comparison.folder import write_sweep_comparison
from verifine.insights.comparison.sections import Section, to_markdown
from verifine.insights.comparison.sentences import Table
from verifine.insights.comparison.sweep_results import (
    SweepResults,
    compare_sweep,
    seed_table,
    sweep_numbers,
    sweep_sections,
)
from verifine.insights.comparison.variants import Variant
from verifine.runs.events import EventRecord, RunEnded
from verifine.runs.record import RunRecord
from verifine.runs.status import RunStatus, Status

MakeRun = Callable[..., RunRecord]
RIGHT = {"base": ("1100", "1000", "1110"), "hot": ("1110", "1110", "1111")}


@pytest.fixture
def variants(make_run: MakeRun) -> list[Variant]:
    return [
        Variant(
            name=name,
            runs=tuple(
                make_run(f"{name}-seed={seed}", seed=seed, right=each, sections={"sampling": {"temperature": heat}})
                for seed, each in enumerate(rights)
            ),
        )
        for heat, (name, rights) in enumerate(RIGHT.items(), start=1)
    ]


@pytest.fixture
def results(variants: Sequence[Variant]) -> SweepResults:
    return compare_sweep(variants, {"base": 3, "hot": 4}, ["hot-seed=3: killed after step 0."])


def test_a_row_of_the_table_is_a_variant_over_its_seeds(results: SweepResults) -> None:
    table = seed_table(results)
    columns = ("variant", "seeds", "answer accuracy", "sd", "95 % interval", "each seed", "minus base")
    assert table.columns[:7] == columns
    assert table.rows[0][:7] == ("base", "3", "0.00 → 0.50", "0.25", "0.25 to 0.75", "0.50 0.25 0.75", "-")
    # seed by seed: +0.25, +0.50, +0.25
    assert table.rows[1][:6] == ("hot", "3 of 4", "0.00 → 0.83", "0.14", "0.75 to 1.00", "0.75 0.75 1.00")
    assert table.rows[1][6] == "+0.33 (0.25 to 0.50)"
    assert table.rows[1][7:] == ("2", "1.5", "-")


def test_findings_are_told_with_the_number_of_runs(make_run: MakeRun) -> None:
    run = make_run("a")
    failed = EventRecord(time=run.events[-1].time, event=RunEnded(status=Status.FAILED, error="memory ran out"))
    run = replace(run, events=[*run.events, failed], status=RunStatus(status=Status.FAILED))
    runs = (run, replace(run, name="b"))
    assert seed_table(compare_sweep([Variant(name="x", runs=runs)], {"x": 2})).rows[0][-1] == "failed 2"


def test_notes_tell_what_is_missing_and_how_far_to_trust_few_seeds(results: SweepResults) -> None:
    notes = results.comparison.notes
    assert notes[0] == "hot-seed=3: killed after step 0."
    assert any("bootstraps over seeds" in note for note in notes)


def test_with_five_seeds_nothing_is_said_of_them(make_run: MakeRun) -> None:
    runs = tuple(make_run(str(seed), seed=seed, right=f"1{seed % 2}00") for seed in range(5))
    assert compare_sweep([Variant(name="base", runs=runs)], {"base": 5}).comparison.notes == ()


def test_runs_of_a_variant_that_differ_in_more_than_the_seed_are_told(make_run: MakeRun) -> None:
    runs = (
        make_run("a", seed=0, sections={"model": {"precision": "float32"}}),
        make_run("b", seed=1, sections={"model": {"precision": "bfloat16"}}),
    )
    notes = compare_sweep([Variant(name="base", runs=runs)], {"base": 2}).comparison.notes
    assert "base: its runs differ not only in their seed (model.precision)." in notes


def test_without_right_and_wrong_the_reward_is_compared(make_run: MakeRun) -> None:
    run = make_run("a", before="0?", right="1?")
    assert seed_table(compare_sweep([Variant(name="x", runs=(run,))], {"x": 1})).columns[2] == "answer accuracy"
    scored = make_run("b", before="??", right="??")
    found = compare_sweep([Variant(name="x", runs=(scored,))], {"x": 1})
    assert seed_table(found).columns[2] == "average reward"
    assert seed_table(found).rows[0][2:5] == ("0.50 → 0.50", "-", "-")


def test_everything_is_there_for_programs(results: SweepResults) -> None:
    numbers = json.loads(json.dumps(sweep_numbers(results), allow_nan=False))
    hot = numbers["over_seeds"]["hot"]
    assert (numbers["measure"], hot["planned"], hot["before"]) == ("answer_accuracy", 4, 0.0)
    assert hot["after"]["by_seed"] == {"0": 0.75, "1": 0.75, "2": 1.0}
    assert hot["gain"]["interval"] == [0.25, 0.5]
    assert [variant["name"] for variant in numbers["variants"]] == ["base", "hot"]


def test_the_page_says_what_was_trained_and_what_came_of_it(results: SweepResults, tmp_path: Path) -> None:
    page, *others = write_sweep_comparison(tmp_path, results, "verifine sweep add run.seed=0,1,2")
    text = page.read_text()
    assert page.name == "sweep.md"
    assert text.startswith(
        f"# Sweep {tmp_path.name}\n\n```\nverifine sweep add run.seed=0,1,2\n```\n\n## What differs\n"
    )
    assert "| hot | 3 of 4 | 0.00 → 0.83 | 0.14 |" in text
    assert "| hot-seed=2 | hot | 2 | 2 | 1.5 | finished |" in text
    assert [path.name for path in others] == ["compare.html", "compare.svg", "compare.png", "compare.json"]
    assert "over_seeds" in json.loads(others[-1].read_text())


def test_a_table_of_a_page_keeps_its_columns_whatever_is_in_a_cell() -> None:
    table = Table(columns=("a", "b"), rows=(("x|y", "z"),))
    text = to_markdown([Section(heading="Head", table=table, paragraphs=("Said.",))])
    assert text == "## Head\n\n| a | b |\n| --- | --- |\n| x\\|y | z |\n\nSaid.\n"
    empty = Section(heading="Head", table=Table(columns=("a",), rows=()), otherwise="nothing")
    assert to_markdown([empty]) == "## Head\n\nnothing\n"


def test_the_sections_are_those_of_a_comparison_with_the_seeds_in_the_middle(results: SweepResults) -> None:
    headings = [section.heading for section in sweep_sections(results)]
    assert headings == [
        "What differs",
        "Held-out answer accuracy before and after training, over seeds",
        "Better than base?",
        "",
    ]
