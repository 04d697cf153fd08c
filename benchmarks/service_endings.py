"""A job that is cancelled, and one that is paused, in each moment of its life: how long it takes, and what is left.

    python benchmarks/service_endings.py [--only MOMENT] [--json FILE]       # 5 minutes on two cores

The jobs are of the toy model `pico`. Each is brought into a moment, then its owner cancels or pauses it. Told are the
seconds until it has that state, what it says last, and the processes that are left of it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from table import add_json_option, publish, render

from verifine.machine.disk import draft_of
from verifine.models.provision.shipped import SHIPPED
from verifine.runs.directory import RunDirectory
from verifine.service.supervisor import recorder
from verifine.testing.serve_command import ENDED, SOURCE, ServeCommand

STUCK = "import time\n\ndef grade(sample, item):\n    time.sleep(4.5)\n    return len(sample['output_text']) % 7 / 6\n"
"""Each answer takes nearly as long as a grader may, so that a step takes minutes."""
MANY = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of a job."""

    moment: str
    asked: str
    seconds: float
    status: str
    said: str
    left: int
    """Processes that still belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJob:
    """A job of a service."""

    service: ServeCommand
    job_id: str
    folder: Path

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(path=self.folder / "run")

    def until(self, is_reached: Callable[[], bool], poll_s: float = 0.05) -> None:
        while not is_reached():
            status = self.service.job(self.job_id)["status"] if poll_s >= 0.05 else ""
            if status in ENDED:
                raise SystemExit(f"the job has {status}: {self.service.messages(self.job_id)[:3]}")
            time.sleep(poll_s)

    def group(self) -> int | None:
        """The process group that all of it is in; None: it has not begun."""
        with suppress(OSError, ValueError):
            return int(json.loads((self.folder / recorder.PROCESS).read_bytes())["pid"])
        return None

    def stop(self) -> None:
        """Lets all of it stand still, so that it heeds no signal but SIGKILL."""
        group = self.group()
        assert group is not None
        os.killpg(group, signal.SIGSTOP)


def begin(service: ServeCommand, data: Path, *, steps: int = MANY, grader: str = SOURCE) -> LiveJob:
    job_id = service.create_job(
        "toy", steps, grader=grader, sampling={"max_new_tokens": 8}, run={"steps": steps, "save_interval": 5}
    )
    return LiveJob(service=service, job_id=job_id, folder=data / "jobs" / job_id)


def in_a_step(service: ServeCommand, data: Path) -> LiveJob:
    job = begin(service, data)
    job.until(lambda: bool(service.told_steps(job.job_id)))
    return job


def standing_still(service: ServeCommand, data: Path) -> LiveJob:
    job = in_a_step(service, data)
    job.stop()
    return job


def starting(service: ServeCommand, data: Path) -> LiveJob:
    job = begin(service, data)
    job.until(lambda: job.group() is not None)
    return job


def loading(service: ServeCommand, data: Path) -> LiveJob:
    job = begin(service, data)
    job.until(job.run.events.exists)
    return job


def in_a_grader(service: ServeCommand, data: Path) -> LiveJob:
    job = begin(service, data, grader=STUCK)
    job.until(lambda: "Fine-tuning job started" in service.messages(job.job_id))
    return job


def saving(service: ServeCommand, data: Path) -> LiveJob:
    """Its model is half written, and it goes no further."""
    job = begin(service, data, steps=3)
    draft = draft_of(job.run.model)
    job.until(draft.exists, poll_s=0.0)
    job.stop()
    return job


MOMENTS: dict[str, Callable[[ServeCommand, Path], LiveJob]] = {
    "in a step": in_a_step,
    "its process starts": starting,
    "it loads the model": loading,
    "in a grader": in_a_grader,
    "all of it stands still": standing_still,
    "the model is half written": saving,
}


def end(job: LiveJob, moment: str, verb: str) -> Ending:
    began, wanted = time.monotonic(), "cancelled" if verb == "cancel" else "paused"
    group = job.group()
    job.service.act(job.job_id, verb)
    while (status := job.service.job(job.job_id)["status"]) not in (*ENDED, "paused"):
        time.sleep(0.05)
    seconds = time.monotonic() - began
    if status != wanted:
        print(f"{moment}, {verb}: {status}")
    left = [each for each in psutil.process_iter() if group is not None and in_group(each, group)]
    said = job.service.messages(job.job_id)[0]
    return Ending(moment=moment, asked=verb, seconds=seconds, status=status, said=said, left=len(left))


def in_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.Error):
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=MOMENTS, action="append", help="one of the moments")
    parser.add_argument("--verb", choices=("cancel", "pause"), action="append", help="one of both")
    add_json_option(parser)
    options = parser.parse_args()
    endings: list[Ending] = []
    with tempfile.TemporaryDirectory(prefix="verifine-") as folder:
        data = Path(folder)
        service = ServeCommand.start(data, {"toy": SHIPPED["pico"].folder})
        try:
            for verb in options.verb or ("cancel", "pause"):
                for moment in options.only or MOMENTS:
                    job = MOMENTS[moment](service, data)
                    endings.append(end(job, moment, verb))
                    if endings[-1].status == "paused":
                        service.act(job.job_id, "cancel")
        finally:
            service.end(signal.SIGTERM)
    header = ("moment", "asked", "s", "status", "it says", "processes left")
    rows = [(each.moment, each.asked, each.seconds, each.status, each.said, each.left) for each in endings]
    publish(render(header, rows), [*map(asdict, endings)], options.json)


if __name__ == "__main__":
    main()
