from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.errors import ConfigError
from verifine.insights.comparison.run_comparison import compare_runs, read_runs
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]
WriteRun = Callable[[RunRecord], Path]


def test_runs_are_read_and_compared_as_they_were_written(make_run: MakeRun, write_run: WriteRun) -> None:
    runs = read_runs([write_run(make_run("a")), write_run(make_run("b", algorithm="dapo", right="1110"))])
    comparison = compare_runs(runs)
    assert [entry.variant.name for entry in comparison.entries] == ["grpo", "dapo"]
    assert [entry.result.moves["answer_accuracy"].after for entry in comparison.entries] == [0.5, 0.75]
    assert set(comparison.entries[0].curves) == {"reward", "completions/mean_length", "answer_accuracy"}
    assert len(comparison.verdicts) == 1
    assert [run.ending for run in runs] == ["finished", "finished"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        read_runs([tmp_path / "nowhere"])
    with pytest.raises(ConfigError, match="not a run directory"):
        read_runs([tmp_path])


def test_a_run_without_a_step_is_refused(make_run: MakeRun, write_run: WriteRun) -> None:
    path = write_run(make_run("a", rewards=[], right=None))
    with pytest.raises(ConfigError, match="a: no step is done yet, so there is nothing to compare"):
        read_runs([path])


def test_the_same_run_twice_is_refused_however_it_is_written(make_run: MakeRun, write_run: WriteRun) -> None:
    path = write_run(make_run("a"))
    with pytest.raises(ConfigError, match="a: this run is given twice; give each run once"):
        read_runs([path, path.parent / "other" / ".." / "a"])


def test_runs_in_folders_of_one_name_are_told_apart_by_their_paths(make_run: MakeRun, write_run: WriteRun) -> None:
    paths = [write_run(make_run(name)) for name in ("x/seed", "y/seed", "z/other")]
    assert [run.name for run in read_runs(paths)] == [str(paths[0]), str(paths[1]), "other"]


def test_equal_runs_of_several_seeds_need_no_notes(make_run: MakeRun) -> None:
    runs = [
        make_run(f"{name}-{seed}", algorithm=name, seed=seed, right="1100" if seed else "1000")
        for name in ("grpo", "dapo")
        for seed in (0, 1)
    ]
    assert compare_runs(runs).notes == ()


def test_notes_say_what_weakens_a_comparison(make_run: MakeRun) -> None:
    graded = {"data": {"train": "a.jsonl"}, "grader": {"type": "answer", "compare": "number"}}
    plain = {"data": {"train": "a.jsonl"}, "grader": {"type": "answer", "compare": "exact"}}
    runs = [
        make_run("a", sections=graded, right="1111"),
        make_run("b", sections=graded, right="1110"),
        make_run("c", sections=graded, seed=1, right=None),
        make_run("d", sections=plain, right="11111", first_problem=1, cores=64),
    ]
    notes = compare_runs(runs, ["A", "B"]).notes
    assert len(notes) == 6
    assert notes[0].startswith("A: c without a held-out evaluation after training")
    assert notes[1] == "A: several runs with seed 0; they count as one seed."
    assert notes[2] == (
        "B and A are compared on the 3 held-out problems that both have; 3 that only one has are left out."
    )
    assert notes[3].startswith("One seed only: A, B.")
    assert (
        notes[4]
        == "The variants were not graded alike (grader.compare), so their numbers do not measure the same thing."
    )
    assert notes[5] == "Not all runs had the same cores, so their minutes do not only depend on the method."


def test_variants_without_a_problem_in_common_are_said_not_to_be_compared(make_run: MakeRun) -> None:
    [note, _] = compare_runs([make_run("a"), make_run("b", algorithm="dapo", first_problem=50)]).notes
    assert note == "dapo and grpo have no held-out problem in common answered by both, so they are not compared."


def test_runs_without_an_environment_are_not_said_to_differ(make_run: MakeRun) -> None:
    runs = [replace(make_run("a"), environment=None), make_run("b", algorithm="dapo")]
    assert not [note for note in compare_runs(runs).notes if "same" in note]


def test_comparing_needs_neither_torch_nor_matplotlib() -> None:
    modules = "verifine.insights.comparison.plain_values, verifine.insights.comparison.sentences"
    program = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "matplotlib", "jinja2"} & set(loaded.split())
