from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from verifine.cli.sweep_display import JsonLines, SweepDisplay, TextDisplay, describe_row, make_sweep_display
from verifine.launch.sweep.begin import SweepPlan, open_sweep, plan_sweep
from verifine.launch.sweep.execute import SweepSession
from verifine.launch.sweep.grid import SweepBase, parse_grid
from verifine.launch.sweep.process import SweepOptions
from verifine.runs.events import RunEnded
from verifine.runs.status import Status
from verifine.testing.sweeps import FakeTraining

TRAINING = FakeTraining(
    endings={"dapo-seed=0": RunEnded(status=Status.FAILED, error="the check ended with no-go:\n- a reason")}
)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def plan(out: Path) -> SweepPlan:
    base = SweepBase(overrides=("data.task=add", "run.steps=3"))
    return plan_sweep(parse_grid(base, ["algorithm=grpo,dapo", "run.seed=0,1"]), "verifine sweep", out)


def show(display: SweepDisplay, planned: SweepPlan) -> None:
    display.begin(lists_runs=False)
    with open_sweep(planned, lambda _: display.trying("grpo")) as folder:
        display.opened(folder)
        with display:
            SweepSession(folder, planned.sweep, SweepOptions(), display, launch=TRAINING).run()
        display.end(folder, 5, "verifine sweep out")


def test_plain_output_has_a_line_a_run(tmp_path: Path) -> None:
    stream, planned = io.StringIO(), plan(tmp_path / "out")
    show(make_sweep_display(stream, planned, as_json=False), planned)
    assert stream.getvalue().splitlines() == [
        "4 runs: 2 variants, 2 seeds; how long is known after the first one",
        "trying grpo ...",
        f"training in {tmp_path / 'out'}",
        "1/4  grpo-seed=0  answer accuracy 0.00 → 0.50   3 steps   1 min 0 s   about 3 min 0 s left",
        "2/4  dapo-seed=0  not complete: the check ended with no-go:   about 2 min 0 s left",
        "                  - a reason",
        "3/4  grpo-seed=1  answer accuracy 0.00 → 0.50   3 steps   1 min 0 s   about 1 min 0 s left",
        "4/4  dapo-seed=1  answer accuracy 0.00 → 0.50   3 steps   1 min 0 s",
        "",
        f"Saved     {tmp_path / 'out'} (runs/)",
        "Continue  verifine sweep out",
    ]


def test_a_terminal_has_a_footer_with_the_run_and_what_is_left(tmp_path: Path) -> None:
    stream, planned = _Terminal(), plan(tmp_path / "out")
    display = TextDisplay(Console(file=stream, force_terminal=True, width=120), planned)
    show(display, planned)
    text = stream.getvalue()
    assert "grpo-seed=1   step 3   reward 0.30   about 1 min 0 s left, 2 min 0 s in the sweep" in text
    assert "4/4  dapo-seed=1  answer accuracy 0.00 → 0.50" in text
    assert text.endswith("\n")


def test_json_lines_tell_everything(tmp_path: Path) -> None:
    stream, planned = io.StringIO(), plan(tmp_path / "out")
    show(JsonLines(stream, planned), planned)
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [row["type"] for row in rows[:3]] == ["sweep", "trying", "folder"]
    assert rows[3] == {
        "type": "run_began",
        "run": "grpo-seed=0",
        "resumed": False,
        "elsewhere": False,
        "others_s": None,
    }
    assert rows[4] == {"run": "grpo-seed=0", "type": "step", "step": 1, "reward": 0.1, "eta_s": 60.0}
    over = [(row["run"], row["status"], row["problem"]) for row in rows if row["type"] == "run_over"]
    assert over[1] == ("dapo-seed=0", "failed", "the check ended with no-go:\n- a reason")
    assert rows[-1] == {
        "type": "done",
        "folder": str(tmp_path / "out"),
        "code": 5,
        "continue": "verifine sweep out",
        "results": {},
    }


def test_what_a_process_prints_is_told_in_a_few_words() -> None:
    assert describe_row({"type": "step", "step": 3, "reward": 0.5}) == "step 3   reward 0.50"
    assert describe_row({"type": "step", "step": 3, "reward": None}) == "step 3"
    assert describe_row({"type": "stage", "text": "loading"}) == "loading ..."
    assert describe_row({"type": "evaluation", "name": "final"}) == "evaluation"
    assert describe_row({}) == ""
