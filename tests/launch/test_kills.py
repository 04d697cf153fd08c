"""Killed at any time and at any point, a run ends as one that was never killed."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from verifine.checkpoints.store import CheckpointStore
from verifine.config import RunConfig
from verifine.insights.card.subject import CARD, CURVES
from verifine.machine.disk import LOCAL_DISK, draft_of
from verifine.runs.directory import RunDirectory
from verifine.runs.events import CheckpointSaved, read_events
from verifine.runs.metrics import read_metrics
from verifine.runs.run_file import RUN_FILE
from verifine.runs.status import find_status
from verifine.testing import save_tiny_model
from verifine.testing.disk import BROKEN, FULL, Fault, Moment
from verifine.testing.sessions import POINTS, begin_session, end_session, hash_final_model, preload, tiny_run

pytestmark = pytest.mark.slow

KILLS = 100
SESSIONS_AT_ONCE = 2
KILLED, DISK_FAILED = -9, 3
KILLED_AFTER = (0.04, 0.5)
"""Shares of the time that an undisturbed run takes; a session needs about a fifth of it to start.

That time must not include the start of the process that sessions are forked from: most kills would come when a run is
over.
"""

SHORT: dict[str, Any] = {"steps": 2, "keep_last": 1}
LONG: dict[str, Any] = {
    "run": {"steps": 40},
    # What is asked, and how often, then follows from everything that was answered before.
    "sampling": {"rounds": {"until": "balanced", "rounds": 2}, "skip": {}},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    preload()
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return folder


def run_session_to_end(config: RunConfig, fault: Fault | None = None, kill_after_s: float | None = None) -> int:
    return end_session(begin_session(config, fault), kill_after_s)


def acknowledged(run: RunDirectory) -> int:
    """The newest step that was said to be saved; 0: none."""
    return max(
        (record.event.step for record in read_events(run.events) if isinstance(record.event, CheckpointSaved)),
        default=0,
    )


def check_nothing_is_lost(run: RunDirectory) -> None:
    found = CheckpointStore(run.checkpoints, LOCAL_DISK).newest()
    assert found.damaged == ()
    assert (0 if found.checkpoint is None else found.checkpoint.step) >= acknowledged(run)


def check_it_is_whole(run: RunDirectory, steps: int, weights: str) -> None:
    assert hash_final_model(run.path) == weights
    assert [report.step for report in read_metrics(run.metrics)] == list(range(1, steps + 1))
    assert sorted(path.name for path in run.evaluations.iterdir()) == ["baseline.json", "final.json"]
    assert len(list(run.rollouts.glob("*.jsonl"))) == len(list(run.rollouts.glob("*.safetensors"))) == steps
    # What is written after the end of training may be written again at any time, which removes its draft.
    late = (run.report, run.heartbeat, run.path / RUN_FILE, run.model / CARD, run.model / CURVES)
    assert set(run.path.rglob(".*")) <= {run.lock, *map(draft_of, late)}
    assert find_status(run).status == "finished"


def undisturbed(folder: Path, model: Path, **sections: Any) -> tuple[str, list[str]]:
    """The hash of its weights, and every point of its writing."""
    config = tiny_run(folder, model, **sections)
    assert run_session_to_end(config) == 0
    assert config.run.directory is not None
    return hash_final_model(config.run.directory), json.loads((folder / POINTS).read_text())


def kill_at_random(model: Path, folder: Path, seed: int, weights: str, calm_s: float) -> str:
    """KILLS / SESSIONS_AT_ONCE kills, spread over as many runs as finish meanwhile."""
    random, kills, runs = Random(seed), 0, 0
    while True:
        config = tiny_run(folder / str(runs), model, **LONG)
        run, resumed = RunDirectory(path=folder / str(runs) / "run"), 0
        while kills < KILLS // SESSIONS_AT_ONCE:
            code = run_session_to_end(config, kill_after_s=calm_s * random.uniform(*KILLED_AFTER))
            if code == 0:
                break
            assert code == KILLED
            kills += 1
            if run.config.exists():
                check_nothing_is_lost(run)
            resumed = acknowledged(run)
        while run_session_to_end(config) != 0:
            pass
        check_it_is_whole(run, LONG["run"]["steps"], weights)
        runs += 1
        if kills == KILLS // SESSIONS_AT_ONCE:
            return f"{kills} kills in {runs} runs of {LONG['run']['steps']} steps; the last one reached step {resumed}"


def test_a_hundred_kills_at_random_times_change_nothing(model: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    weights, _ = undisturbed(tmp_path / "calm", model, **LONG)
    calm_s = time.monotonic() - began
    with ThreadPoolExecutor(SESSIONS_AT_ONCE) as pool:
        seeds = range(SESSIONS_AT_ONCE)
        stories = pool.map(lambda seed: kill_at_random(model, tmp_path / str(seed), seed, weights, calm_s), seeds)
    print("\n".join(stories))


@pytest.fixture(scope="module")
def calm(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    return undisturbed(tmp_path_factory.mktemp("calm"), model, run=SHORT)


def faults(points: list[str], moment: Moment, error: int | None) -> list[Fault]:
    """One at every point, in the order in which a run reaches them."""
    is_cut = moment == "within"
    return [
        Fault(point=point, moment=moment, error=error)
        for point in points
        if not is_cut or point.startswith(("write", "append"))
    ]


def survive(model: Path, folder: Path, every: list[Fault], weights: str) -> int:
    """Runs into one fault after the other, each in a session of its own; begins anew where a run has come to its end.

    Returns how many runs it took.
    """
    runs = 0

    def begin() -> RunConfig:
        nonlocal runs
        runs += 1
        return tiny_run(folder / str(runs), model, run=SHORT)

    def finish(config: RunConfig) -> None:
        while run_session_to_end(config) != 0:
            pass
        assert config.run.directory is not None
        check_it_is_whole(RunDirectory(path=config.run.directory), SHORT["steps"], weights)

    config = begin()
    for fault in every:
        code = run_session_to_end(config, fault)
        if code == 0:  # the run was over before it came to that point
            finish(config)
            config = begin()
            code = run_session_to_end(config, fault)
        assert code == (KILLED if fault.error is None else DISK_FAILED), fault
        assert config.run.directory is not None
        run = RunDirectory(path=config.run.directory)
        if run.config.exists():
            check_nothing_is_lost(run)
    finish(config)
    return runs


@pytest.mark.parametrize(
    ("name", "error", "moments"),
    [
        ("kills", None, ("before", "within", "after")),
        ("full disks", FULL, ("before", "within")),
        ("broken disks", BROKEN, ("before", "within")),
    ],
)
def test_whatever_happens_at_any_point_of_writing_changes_nothing(
    name: str, error: int | None, moments: tuple[Moment, ...], model: Path, calm: tuple[str, list[str]], tmp_path: Path
) -> None:
    weights, points = calm
    chains = [faults(points, moment, error) for moment in moments]
    with ThreadPoolExecutor(SESSIONS_AT_ONCE) as pool:
        runs = list(pool.map(lambda k: survive(model, tmp_path / str(k), chains[k], weights), range(len(chains))))
    print(f"{sum(map(len, chains))} {name} at {len(points)} points of writing, in {sum(runs)} runs")
