"""The service killed at random times while a real job trains, beside the same job left alone.

    python benchmarks/service_kills.py [--kills 50] [--steps 600] [--json FILE]       # 15 minutes on two cores

The job is a reinforcement job of the toy model `pico`. In `service`, `verifine serve` is killed with SIGKILL and
started again; in `child` the process that trains is killed, in `recorder` the one above it, and in `all` these two and
the service at once. Told are the steps in the job's events, the rows in its run's metrics and the sha256 of its final
weights; and, for each start of the service while the job ran, the seconds until its supervisor had the job.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from statistics import median

import psutil
from table import add_json_option, publish, render

from verifine.models.provision.shipped import SHIPPED
from verifine.runs.directory import RunDirectory
from verifine.runs.metrics import read_metrics
from verifine.runs.run_file import read_run_file
from verifine.service.supervisor import recorder
from verifine.testing.serve_command import ENDED, SOURCE, ServeCommand

JOB_KILLS = 3
"""How often the child, the recorder or all of them are killed."""


@dataclass(slots=True, kw_only=True)
class JobHistory:
    """How a job came to its end."""

    name: str
    kills: int = 0
    adopted_s: list[float] = field(default_factory=list)
    """From the start of a service until it held the job."""
    ready_s: list[float] = field(default_factory=list)
    """From the start of a service until it answered."""
    status: str = ""
    seconds: float = 0.0
    told: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    processes: int = 0
    """How many came to train; one that is killed while it loads the model did not."""
    sha256: str = ""
    """Of model/model.safetensors."""


@dataclass(slots=True, kw_only=True)
class JobWorld:
    """A service, and a job in it."""

    data: Path
    service: ServeCommand
    job_id: str

    @property
    def folder(self) -> Path:
        return self.data / "jobs" / self.job_id

    @property
    def is_over(self) -> bool:
        return self.service.job(self.job_id)["status"] in ENDED

    def restart(self, history: JobHistory) -> None:
        """Kills the service, starts another one, and waits until that holds the job."""
        self.service.end(signal.SIGKILL)
        began = time.monotonic()
        self.service = start(self.data)
        history.ready_s.append(time.monotonic() - began)
        while not self.is_over:
            if self._holder() == self.service.process.pid:
                history.adopted_s.append(time.monotonic() - began)
                return
            time.sleep(0.01)

    def recorder(self) -> psutil.Process | None:
        """None: there is none now."""
        try:
            found = psutil.Process(json.loads((self.folder / recorder.PROCESS).read_bytes())["pid"])
            return found if found.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, psutil.Error):
            return None

    def processes(self) -> list[psutil.Process]:
        """The recorder, and what it has started; empty: there is none."""
        above = self.recorder()
        return [] if above is None else [above, *above.children(recursive=True)]

    def _holder(self) -> int | None:
        uri = f"file:{self.data / 'service.db'}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as database:
            [held] = database.execute("SELECT holder FROM jobs WHERE id = ?", (self.job_id,)).fetchone()
        return None if held is None else int(held.split(" ")[1])


def start(data: Path) -> ServeCommand:
    return ServeCommand.start(data, {"toy": SHIPPED["pico"].folder})


def kill_service(world: JobWorld, history: JobHistory) -> bool:
    world.restart(history)
    return True


def kill_child(world: JobWorld, _: JobHistory) -> bool:
    return end_at_once([each for each in world.processes() if each != world.recorder()])


def kill_recorder(world: JobWorld, _: JobHistory) -> bool:
    return end_at_once(world.processes()[:1])


def kill_all(world: JobWorld, history: JobHistory) -> bool:
    is_killed = end_at_once(world.processes())
    world.restart(history)
    return is_killed


def end_at_once(processes: Sequence[psutil.Process]) -> bool:
    """Whether there were any."""
    for each in processes:
        each.kill()
    return bool(processes)


Kill = Callable[[JobWorld, JobHistory], bool]
"""Whether there was something to kill."""
KILLS: dict[str, Kill | None] = {
    "alone": None,
    "service": kill_service,
    "child": kill_child,
    "recorder": kill_recorder,
    "all": kill_all,
}


def run(name: str, data: Path, options: argparse.Namespace, random: Random) -> JobHistory:
    history, kill, began = JobHistory(name=name), KILLS[name], time.monotonic()
    service = start(data)
    grader = SOURCE.replace("\n", f"\n    import time; time.sleep({options.grading_s})\n", 1)
    job_id = service.create_job(
        "toy",
        options.steps,
        grader=grader,
        sampling={"max_new_tokens": 24},
        run={"save_interval": 5, "steps": options.steps},
    )
    world = JobWorld(data=data, service=service, job_id=job_id)
    most = options.kills if name == "service" else JOB_KILLS
    service.until(lambda: bool(service.told_steps(job_id)))
    try:
        follow(world, history, kill, lambda: random.uniform(0.0, options.most_s), most)
    finally:
        if world.service.process.poll() is None and not world.is_over:
            world.service.act(job_id, "cancel")
            world.service.until(lambda: world.is_over)
        world.service.end(signal.SIGTERM)
    directory = RunDirectory(path=world.folder / "run")
    history.seconds = time.monotonic() - began
    history.rows = [report.step for report in read_metrics(directory.metrics)]
    history.processes = len(read_run_file(directory.path).training_attempts)
    if directory.model.exists():
        history.sha256 = hashlib.sha256((directory.model / "model.safetensors").read_bytes()).hexdigest()
    return history


def follow(world: JobWorld, history: JobHistory, kill: Kill | None, wait_s: Callable[[], float], most: int) -> None:
    """Until the job is over. What trains is killed only when it has got further: three crashes at a step end a job."""
    before = -1
    while not world.is_over:
        time.sleep(wait_s())
        step = len(world.service.told_steps(world.job_id))
        if kill is not None and history.kills < most and not world.is_over and (kill is kill_service or step > before):
            before = step
            history.kills += kill(world, history)
    history.status, history.told = world.service.job(world.job_id)["status"], world.service.told_steps(world.job_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of the service")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--grading-s", type=float, default=0.0, help="what an answer takes to grade, for a longer job")
    parser.add_argument("--most-s", type=float, default=3.0, help="kills come so long after another at most")
    parser.add_argument("--seed", type=int, default=0, help="of the times at which the kills come")
    parser.add_argument("--only", choices=KILLS, action="append", help="one of them besides the job left alone")
    add_json_option(parser)
    options = parser.parse_args()
    names = ["alone", *(options.only or [name for name in KILLS if name != "alone"])]
    with tempfile.TemporaryDirectory(prefix="verifine-") as folder:
        histories = [run(name, Path(folder) / name, options, Random(options.seed)) for name in names]
    steps = list(range(1, len(histories[0].rows) + 1))  # a run that gets no better may end before its last step
    rows = [
        (
            *(each.name, each.kills, each.processes, each.status, each.seconds),
            *(median(times) if times else None for times in (each.ready_s, each.adopted_s)),
            *(f"{len(steps)} once" if found == steps else "wrong" for found in (each.told, each.rows)),
            each.sha256[:16],
        )
        for each in histories
    ]
    header = ("killed", "kills", "processes", "status", "s", "ready s", "adopted s", "told", "metrics", "sha256")
    publish(render(header, rows), [*map(asdict, histories)], options.json)
    if any((each.told, each.rows, each.sha256) != (steps, steps, histories[0].sha256) for each in histories):
        raise SystemExit("a job that was killed differs from the one left alone")


if __name__ == "__main__":
    main()
