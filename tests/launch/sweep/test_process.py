from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.launch.sweep.execute import SweepSession
from verifine.launch.sweep.folder import Sweep, SweepFolder
from verifine.launch.sweep.process import CommandProcess, SweepOptions, explain_end
from verifine.testing.sweeps import FakeTraining

MakeSweep = Callable[..., tuple[SweepFolder, Sweep]]


def test_what_a_command_prints_is_read(make_sweep: MakeSweep, tmp_path: Path) -> None:
    folder, sweep = make_sweep("run.seed=0,1")
    SweepSession(folder, sweep, SweepOptions(), lambda _: None, launch=FakeTraining()).run()
    process = CommandProcess(["doctor", folder.run(sweep.runs[0]).path, "--json"], tmp_path / "log.txt")
    (row,) = process.rows()
    assert (row["steps"], process.end()) == (3, 0)


def test_the_last_words_of_a_command_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    process = CommandProcess(["doctor", tmp_path / "nowhere"], log)
    assert list(process.rows()) == []
    code = process.end()
    assert code == 2
    assert explain_end(code, log).startswith(f"{tmp_path / 'nowhere'}: there is no such folder")


@pytest.mark.parametrize(
    ("code", "written", "told"),
    [
        (3, "a warning\nverifine: no model.\nGive one.\n", "no model.\nGive one."),
        (-9, "verifine: something before", "the process was killed; perhaps memory ran out"),
        (-11, "", "the process was ended by signal 11"),
        (120, "first\nlast\n", "the process ended with exit code 120; the last it said was: last"),
    ],
)
def test_the_end_of_a_process_is_explained(tmp_path: Path, code: int, written: str, told: str) -> None:
    log = tmp_path / "log.txt"
    log.write_text(written)
    assert explain_end(code, log) == told
