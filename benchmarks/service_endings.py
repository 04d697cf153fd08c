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

    def until(self, is_reached: Callable[[], bool]) -> None:
        looked = 0.0
        while not is_reached():
            if time.monotonic() - looked > 0.2:
                looked, status = time.monotonic(), self.service.job(self.job_id)["status"]
                if status in ENDED:
                    raise SystemExit(f"the job has {status}: {self.service.messages(self.job_id)[:3]}")
            time.sleep(0.001)

    def clear(self) -> None:
        """Ends it, if it has not."""
        if self.service.job(self.job_id)["status"] not in ENDED:
            with suppress(AssertionError):  # it is being cancelled already
                self.service.act(self.job_id, "cancel")
            while self.service.job(self.job_id)["status"] not in ENDED:
                time.sleep(0.1)

    def group(self) -> int | None:
        """The process group that all of it is in; None: it has not begun."""
        with suppress(OSError, ValueError):
            return int(json.loads((self.folder / recorder.PROCESS).read_bytes())["pid"])
        return None

    def processes(self) -> list[psutil.Process]:
        """All that belong to it, sandboxes as well."""
        group = self.group()
        if group is None or not psutil.pid_exists(group):
            return []
        above = psutil.Process(group)
        return [above, *above.children(recursive=True)]

    def stop(self) -> None:
        """Lets all of it stand still, so that it heeds no signal but SIGKILL."""
        group = self.group()
        assert group is not None
        os.killpg(group, signal.SIGSTOP)


def in_a_step(job: LiveJob) -> None:
    job.until(lambda: bool(job.service.told_steps(job.job_id)))


def standing_still(job: LiveJob) -> None:
    in_a_step(job)
    job.stop()


def starting(job: LiveJob) -> None:
    job.until(lambda: job.group() is not None)


def loading(job: LiveJob) -> None:
    job.until(job.run.events.exists)


def in_a_grader(job: LiveJob) -> None:
    job.until(lambda: "Fine-tuning job started" in job.service.messages(job.job_id))


def saving(job: LiveJob) -> None:
    """Its model is half written, and it goes no further."""
    job.until(draft_of(job.run.model).exists)
    job.stop()


STUCK_MOMENT, SAVING_MOMENT = "in a grader", "the model is half written"
MOMENTS: dict[str, Callable[[LiveJob], None]] = {
    "in a step": in_a_step,
    "its process starts": starting,
    "it loads the model": loading,
    STUCK_MOMENT: in_a_grader,
    "all of it stands still": standing_still,
    SAVING_MOMENT: saving,
}


def begin(service: ServeCommand, data: Path, moment: str) -> LiveJob:
    """A job for the moment; all but one are longer than anybody waits."""
    steps, grader = (3 if moment == SAVING_MOMENT else MANY), (STUCK if moment == STUCK_MOMENT else SOURCE)
    own: dict[str, dict[str, object]] = {"sampling": {"max_new_tokens": 8}, "run": {"steps": steps, "save_interval": 5}}
    job_id = service.create_job("toy", steps, grader=grader, **own)
    return LiveJob(service=service, job_id=job_id, folder=data / "jobs" / job_id)


def end(job: LiveJob, moment: str, verb: str) -> Ending:
    belonging = job.processes()
    began = time.monotonic()
    job.service.act(job.job_id, verb)
    while (status := job.service.job(job.job_id)["status"]) not in (*ENDED, "paused"):
        time.sleep(0.05)
    seconds = time.monotonic() - began
    _, left = psutil.wait_procs(belonging, timeout=1)
    said = job.service.messages(job.job_id)[0]
    return Ending(moment=moment, asked=verb, seconds=seconds, status=status, said=said, left=len(left))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=MOMENTS, action="append", help="one of the moments")
    parser.add_argument("--verb", choices=("cancel", "pause"), action="append", help="one of both")
    add_json_option(parser)
    options = parser.parse_args()
    endings: list[Ending] = []
    begun: list[LiveJob] = []
    with tempfile.TemporaryDirectory(prefix="verifine-") as folder:
        data = Path(folder)
        service = ServeCommand.start(data, {"toy": SHIPPED["pico"].folder})
        try:
            for verb in options.verb or ("cancel", "pause"):
                for moment in options.only or MOMENTS:
                    begun.append(begin(service, data, moment))
                    MOMENTS[moment](begun[-1])
                    endings.append(end(begun[-1], moment, verb))
                    begun[-1].clear()
        finally:
            for job in begun:
                job.clear()
            service.end(signal.SIGTERM)
    header = ("moment", "asked", "s", "status", "it says", "processes left")
    rows = [(each.moment, each.asked, each.seconds, each.status, each.said, each.left) for each in endings]
    publish(render(header, rows), [*map(asdict, endings)], options.json)


if __name__ == "__main__":
    main()
