from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from verifine.launch.sweep.execute import RunBegan, RunOver, RunReported, SweepEvent, SweepSession, find_record
from verifine.launch.sweep.folder import Sweep, SweepFolder, read_sweep
from verifine.launch.sweep.process import SweepOptions
from verifine.launch.sweep.results import find_results
from verifine.runs.events import EventSink, RunEnded
from verifine.runs.heartbeat import HeartbeatWriter
from verifine.runs.metrics import read_metrics
from verifine.runs.requests import RunRequest, find_request
from verifine.runs.status import DISK_FULL, Status, find_status
from verifine.testing.sweeps import START, FakeTraining

MakeSweep = Callable[..., tuple[SweepFolder, Sweep]]


PLAIN = SweepOptions()
FAILED = RunEnded(status=Status.FAILED, error="memory ran out")


class _Killed(BaseException):
    """The sweep and the process of its run die at once."""


def run(
    made: tuple[SweepFolder, Sweep],
    training: FakeTraining,
    tell: Callable[[SweepEvent], None] = lambda _: None,
    options: SweepOptions = PLAIN,
) -> list[RunOver]:
    return SweepSession(*made, options, tell, launch=training).run()


def statuses(folder: SweepFolder, sweep: Sweep) -> list[Status]:
    return [find_status(folder.run(each)).status for each in sweep.runs]


def test_runs_are_trained_in_order_and_told(make_sweep: MakeSweep) -> None:
    made, training, events = make_sweep("run.seed=0,1"), FakeTraining(), list[SweepEvent]()
    results = run(made, training, events.append, SweepOptions(skip_check=True))
    assert training.commands == [
        ("train", "seed=0", "--skip-check", "--json"),
        ("train", "seed=1", "--skip-check", "--json"),
    ]
    assert [type(event) for event in events] == [RunBegan, *[RunReported] * 3, RunOver] * 2
    assert [result.problem for result in results] == [None, None]
    assert statuses(*made) == [Status.FINISHED] * 2


def test_what_is_left_is_estimated_from_the_runs_that_are_over(make_sweep: MakeSweep) -> None:
    events = list[SweepEvent]()
    run(make_sweep("run.seed=0,1,2"), FakeTraining(), events.append)
    began = [event.others_s for event in events if isinstance(event, RunBegan)]
    over = [event.left_s for event in events if isinstance(event, RunOver)]
    # A fake run has three events, a minute apart, after its attempt began.
    assert began == [None, 60.0, 0.0]
    assert over == [120.0, 60.0, 0.0]


def test_complete_runs_are_left_alone(make_sweep: MakeSweep) -> None:
    made, again = make_sweep("run.seed=0,1"), FakeTraining()
    run(made, FakeTraining())
    assert run(made, again) == []
    assert again.commands == []


def test_a_run_that_fails_is_told_and_the_others_go_on(make_sweep: MakeSweep) -> None:
    made = make_sweep("run.seed=0,1,2,3")
    training = FakeTraining(endings={"seed=0": FAILED}, killed=["seed=1"], broken=["seed=2"])
    problems = [result.problem for result in run(made, training)]
    assert problems == [
        "memory ran out",
        "the process was killed; perhaps memory ran out",
        "no such model",
        None,
    ]
    assert statuses(*made) == [Status.FAILED, Status.KILLED, Status.KILLED, Status.FINISHED]
    # The next time each gets another try: the first two have begun, the third has not.
    again = FakeTraining()
    run(made, again)
    assert [command[:2] for command in again.commands] == [
        ("resume", "seed=0"),
        ("resume", "seed=1"),
        ("train", "seed=2"),
    ]
    assert statuses(*made) == [Status.FINISHED] * 4


def test_a_pause_reaches_the_run_and_no_other_begins(make_sweep: MakeSweep) -> None:
    made, training = make_sweep("run.seed=0,1"), FakeTraining()

    def pause_at_first_step(event: SweepEvent) -> None:
        if isinstance(event, RunReported):
            session.pause()

    session = SweepSession(*made, PLAIN, pause_at_first_step, launch=training)
    (result,) = session.run()
    assert (result.problem, result.record and result.record.steps) == (None, 1)
    assert statuses(*made) == [Status.PAUSED, Status.KILLED]
    again = FakeTraining()
    run(made, again)
    assert [command[:2] for command in again.commands] == [("resume", "seed=0"), ("train", "seed=1")]
    assert [len(read_metrics(made[0].run(each).metrics)) for each in made[1].runs] == [3, 3]


def test_a_pause_while_a_process_starts_reaches_it(make_sweep: MakeSweep) -> None:
    made = make_sweep("run.seed=0,1")
    training = FakeTraining(reach=lambda point: session.pause() if point == "start" else None)
    session = SweepSession(*made, PLAIN, lambda _: None, launch=training)
    session.run()
    assert statuses(*made) == [Status.PAUSED, Status.KILLED]
    assert len(training.commands) == 1


def test_a_run_that_somebody_else_paused_is_told(make_sweep: MakeSweep) -> None:
    training = FakeTraining(endings={"seed=0": RunEnded(status=Status.PAUSED)})
    results = run(make_sweep("run.seed=0,1"), training)
    assert [result.problem for result in results] == ["paused by request", None]


def test_a_full_disk_ends_the_sweep(make_sweep: MakeSweep) -> None:
    full = RunEnded(status=Status.PAUSED, reason=DISK_FULL, error="the disk is full")
    training = FakeTraining(endings={"seed=0": full})
    (result,) = run(make_sweep("run.seed=0,1"), training)
    assert (result.problem, result.is_disk_full) == ("the disk is full", True)


def test_a_run_that_another_version_has_written_is_left_out_and_the_others_go_on(make_sweep: MakeSweep) -> None:
    folder, sweep = make_sweep("run.seed=0,1,2")
    first, second, third = (folder.run(each) for each in sweep.runs)
    run((folder, sweep), FakeTraining(broken=["seed=1", "seed=2"]))
    with first.config.open("a") as file:
        file.write("new_section: {}\n")
    second.path.mkdir()
    second.events.write_text("{\n{}\n")
    problems = [result.problem or "" for result in run((folder, sweep), FakeTraining())]
    assert "events.jsonl:1: this line is not a JSON object" in problems[0]
    assert problems[1] == ""
    assert find_status(third).status is Status.FINISHED
    second.events.unlink()
    results = find_results(folder, sweep)
    assert results is not None
    assert results.planned == (3,)
    notes = " ".join(results.comparison.notes)
    assert "seed=0 is left out: " in notes
    assert "`new_section` is unknown" in notes


def test_checkpoints_are_dropped_only_of_complete_runs(make_sweep: MakeSweep) -> None:
    folder, sweep = make_sweep("run.seed=0,1")
    run((folder, sweep), FakeTraining())
    assert all(folder.run(each).checkpoints.is_dir() for each in sweep.runs)
    incomplete = folder.run(sweep.runs[1])
    EventSink(incomplete.events, lambda: START).emit(RunEnded(status=Status.PAUSED))
    run((folder, sweep), FakeTraining(broken=["seed=1"]), options=SweepOptions(drop_checkpoints=True))
    assert [folder.run(each).checkpoints.is_dir() for each in sweep.runs] == [False, True]


def test_a_run_that_another_process_trains_is_awaited(make_sweep: MakeSweep) -> None:
    folder, sweep = make_sweep("run.seed=0,1")
    directory = folder.run(sweep.runs[0])
    directory.path.mkdir(parents=True)
    heartbeat = HeartbeatWriter(directory.heartbeat, 1)
    waits, events, training = itertools.count(1), list[SweepEvent](), FakeTraining()

    def wait(_: float) -> None:
        if next(waits) == 3:  # it dies
            heartbeat.close()

    results = SweepSession(folder, sweep, PLAIN, events.append, launch=training, wait=wait).run()
    began = [(event.run.name, event.is_elsewhere) for event in events if isinstance(event, RunBegan)]
    assert began == [("seed=0", True), ("seed=0", False), ("seed=1", False)]
    assert [result.problem for result in results] == [None, None]
    assert [command[:2] for command in training.commands] == [("train", "seed=0"), ("train", "seed=1")]


def test_another_process_is_asked_to_pause_as_well(make_sweep: MakeSweep) -> None:
    folder, sweep = make_sweep("run.seed=0,1")
    directory = folder.run(sweep.runs[0])
    directory.path.mkdir(parents=True)
    heartbeat, training = HeartbeatWriter(directory.heartbeat, 1), FakeTraining()

    def wait(_: float) -> None:
        if find_request(directory) is RunRequest.PAUSE:
            heartbeat.close()
        session.pause()

    session = SweepSession(folder, sweep, PLAIN, lambda _: None, launch=training, wait=wait)
    session.run()
    assert training.commands == []


@pytest.mark.slow
def test_killed_at_any_point_a_sweep_ends_as_one_that_was_not(make_sweep: MakeSweep) -> None:
    calm = make_sweep("run.seed=0,1", folder="calm")
    run(calm, FakeTraining())
    rows = [(calm[0].run(each).metrics).read_text() for each in calm[1].runs]
    for last in itertools.count(1):
        folder, sweep = make_sweep("run.seed=0,1", folder=f"killed-{last}")
        points = itertools.count(1)

        def reach(_: object, points: itertools.count[int] = points, last: int = last) -> None:
            if next(points) == last:
                raise _Killed

        first = FakeTraining(reach=reach)
        try:
            run((folder, sweep), first, reach)
        except _Killed:
            pass
        else:
            break
        complete = {each.name for each in sweep.runs if find_status(folder.run(each)).status.is_complete}
        second = FakeTraining()
        run((folder, read_sweep(folder)), second)
        assert {command[1] for command in second.commands} == {"seed=0", "seed=1"} - complete
        assert [folder.run(each).metrics.read_text() for each in sweep.runs] == rows
        assert statuses(folder, sweep) == [Status.FINISHED] * 2
    assert last > 20


def test_the_config_of_a_run_is_that_of_the_sweep(make_sweep: MakeSweep) -> None:
    folder, sweep = make_sweep("optim.betas=[0.9,0.95],[0.9,0.99]")
    run((folder, sweep), FakeTraining())
    records = [find_record(folder.run(each)) for each in read_sweep(folder).runs]
    assert [record and record.config.optim.betas for record in records] == [(0.9, 0.95), (0.9, 0.99)]
    assert [each["name"] for each in json.loads(folder.record.read_text())["runs"]] == [
        "betas=0.9,0.95",
        "betas=0.9,0.99",
    ]
