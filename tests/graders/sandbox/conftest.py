"""Every way to hold untrusted code that this machine has, each as a fleet of workers to run calls on; and canaries.

Where the tests run as root, each way is tried twice: as root, who becomes somebody else, and as an ordinary user. For
the latter this file is run as a program, which answers batches of calls.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

import verifine
from verifine.graders.sandbox import Call, CallFault, Level, Limits, Outcome, Sandbox
from verifine.graders.sandbox.level import start_proved_worker
from verifine.graders.sandbox.plan import SANDBOX_USERS, IsolationPlan, find_plans
from verifine.graders.sandbox.process import IsolationError
from verifine.graders.sandbox.worker import Worker
from verifine.types import Json

ORDINARY_USER = 12345
WORKERS = 4
SOURCE = Path(next(iter(verifine.__path__)))
SECRET_NAME, SECRET = "VERIFINE_CANARY", "sk-canary-4711"
"""In the environment of whoever starts a sandbox, and in a file."""

Run = Callable[[Sequence[Call]], list[Outcome]]
Attack = tuple[str, Sequence[CallFault | str | float]]
"""The body of `attack(facts)`, and what may come of it: a fault, or a value that says that nothing was gained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A plan, and who follows it."""

    plan: IsolationPlan
    ordinary: bool

    def __str__(self) -> str:
        return f"{self.plan.level}-{self.plan.namespaces}-{'ordinary' if self.ordinary else 'root'}"

    @property
    def user(self) -> int:
        """As whom the untrusted code runs, or somebody like that."""
        if os.geteuid() != 0:
            return os.geteuid()
        return ORDINARY_USER if self.ordinary else SANDBOX_USERS[0]


def holdings() -> list[Holding]:
    found = [Holding(plan=plan, ordinary=os.geteuid() != 0) for plan in find_plans(None)]
    return [*found, *(Holding(plan=each.plan, ordinary=True) for each in found)] if os.geteuid() == 0 else found


@pytest.fixture(scope="session", params=holdings(), ids=str)
def holding(request: pytest.FixtureRequest) -> Holding:
    chosen: Holding = request.param
    return chosen


@pytest.fixture(scope="session")
def run(holding: Holding) -> Iterator[Run]:
    """Runs calls, several at once; the outcomes are in the order of the calls."""
    if holding.ordinary and os.geteuid() == 0:
        yield from _run_as_ordinary_user(holding.plan)
        return
    with ExitStack() as started, ThreadPoolExecutor(WORKERS) as threads:
        os.environ[SECRET_NAME] = SECRET
        started.callback(os.environ.pop, SECRET_NAME)
        try:
            workers = [_start(holding.plan, started) for _ in range(WORKERS)]
        except IsolationError as error:
            _skip(str(error))
        yield lambda calls: _spread(calls, workers, threads)


def _start(plan: IsolationPlan, started: ExitStack) -> Worker:
    worker = start_proved_worker(plan)
    started.callback(worker.end)
    return worker


def _skip(reason: str) -> None:
    """What this machine lacks is a reason to skip; a wall that does not stand is none."""
    assert "self-test" not in reason, reason
    pytest.skip(reason)


def _spread(calls: Sequence[Call], workers: Sequence[Worker], threads: ThreadPoolExecutor) -> list[Outcome]:
    def work(worker: Worker, first: int) -> list[tuple[int, Outcome]]:
        return [
            (index, worker.run(call, call.limits or Limits()))
            for index, call in enumerate(calls)
            if index % len(workers) == first
        ]

    shares = threads.map(work, workers, range(len(workers)))
    return [outcome for _, outcome in sorted((each for share in shares for each in share), key=lambda each: each[0])]


def _run_as_ordinary_user(plan: IsolationPlan) -> Iterator[Run]:
    with tempfile.TemporaryFile("w+") as complaints:
        try:
            process = subprocess.Popen(
                [sys.executable, __file__, plan.level, plan.namespaces],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                cwd="/",
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE.parent), SECRET_NAME: SECRET},
                user=ORDINARY_USER,
                group=ORDINARY_USER,
                extra_groups=[],
            )
        except PermissionError as error:
            pytest.skip(f"an ordinary user cannot read this Python: {error}")
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            requests, answers = process.stdin, process.stdout
            if (ready := answers.readline()) != "ready\n":
                complaints.seek(0)
                _skip(f"not for an ordinary user: {ready or complaints.read()[-300:]}")

            def run(calls: Sequence[Call]) -> list[Outcome]:
                print(json.dumps([asdict(call) for call in calls]), file=requests, flush=True)
                return [_outcome(fields) for fields in json.loads(answers.readline())]

            yield run


def _outcome(fields: dict[str, Any]) -> Outcome:
    fault = fields.pop("fault")
    return Outcome(**fields, fault=fault and CallFault(fault))


def _call(fields: dict[str, Any]) -> Call:
    limits = fields.pop("limits")
    return Call(**fields, limits=limits and Limits(**limits))


class Canaries:
    """What an attack would touch if it got through, and whether anything did."""

    def __init__(self, user: int, things: ExitStack) -> None:
        folder = Path(things.enter_context(tempfile.TemporaryDirectory(prefix="verifine-canaries-")))
        folder.chmod(0o777)
        self._file = folder / "secret.txt"
        self._file.write_text(SECRET)
        self._file.chmod(0o666)
        self._before = self._look()
        self._folder = folder
        self._listeners = [
            things.enter_context(socket.create_server(("127.0.0.1", 0))),
            *(things.enter_context(socket.socket(family, kind)) for family, kind in _FURTHER_LISTENERS),
        ]
        tcp, udp, packets, stream, path = self._listeners
        udp.bind(("127.0.0.1", 0))
        abstract = f"\0verifine-canary-{os.getpid()}-{user}"
        packets.bind(abstract)
        stream.bind(abstract + "-stream")
        stream.listen()
        path.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o777)
        for listener in self._listeners:
            listener.setblocking(False)
        self._victim = subprocess.Popen(["sleep", "600"], user=user if os.geteuid() == 0 else None)
        things.callback(self._victim.wait)
        things.callback(self._victim.kill)
        self.facts: dict[str, Json] = {
            "file": str(self._file),
            "folder": str(folder),
            "socket": str(folder / "socket"),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "abstract": abstract,
            "victim": self._victim.pid,
            "service": os.getpid(),
            "source": str(SOURCE / "errors.py"),
            "home": str(Path.home()),
            "half_secret": SECRET[: len(SECRET) // 2],
            "secret_name": SECRET_NAME,
        }

    def touched(self) -> list[str]:
        found = [f"{listener.getsockname()} was reached" for listener in self._listeners if _was_reached(listener)]
        if self._look() != self._before or sorted(path.name for path in self._folder.iterdir()) != [
            "secret.txt",
            "socket",
        ]:
            found.append("a file was changed")
        if self._victim.poll() is not None:
            found.append("a process was ended")
        return found

    def _look(self) -> tuple[str, int, int] | None:
        if not self._file.exists():
            return None
        status = self._file.stat()
        return self._file.read_text(), status.st_mode, status.st_mtime_ns


_FURTHER_LISTENERS = (
    (socket.AF_INET, socket.SOCK_DGRAM),
    (socket.AF_UNIX, socket.SOCK_DGRAM),
    (socket.AF_UNIX, socket.SOCK_STREAM),
    (socket.AF_UNIX, socket.SOCK_DGRAM),
)


def _was_reached(listener: socket.socket) -> bool:
    with suppress(BlockingIOError):
        if listener.type == socket.SOCK_DGRAM:
            listener.recv(1)
        else:
            listener.accept()[0].close()
        return True
    return False


@pytest.fixture(scope="session")
def canaries(holding: Holding) -> Iterator[Canaries]:
    with ExitStack() as things:
        yield Canaries(holding.user, things)


PRELUDE = """
import contextlib, ctypes, mmap, os, signal, socket, struct, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)

def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def syscall(number, *arguments):
    return called(libc.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments)))

def held(*attempts):
    for number, attempt in enumerate(attempts):
        with contextlib.suppress(OSError):
            return f"attempt {number} gave {attempt()!r}"
    return "held"

def each_held(attempt, things):
    for thing in things:
        with contextlib.suppress(OSError):
            return f"{thing!r} gave {attempt(thing)!r}"
    return "held"

def attack(facts):
"""


def attack_call(body: str, facts: Json, *, wall_s: float) -> Call:
    source = PRELUDE + indent(dedent(body), "    ")
    return Call(source=source, function="attack", arguments=(facts,), limits=Limits(wall_s=wall_s))


@pytest.fixture(scope="session")
def attacked(run: Run, canaries: Canaries) -> Callable[[Mapping[str, Attack], str], Outcome]:
    """The outcome of one of some attacks, which are all made at once, the first time that one is asked for."""
    made: dict[int, dict[str, Outcome]] = {}

    def outcome(attacks: Mapping[str, Attack], name: str) -> Outcome:
        if id(attacks) not in made:
            calls = [
                attack_call(body, canaries.facts, wall_s=0.5 if CallFault.TIMEOUT in wanted else 10.0)
                for body, wanted in attacks.values()
            ]
            made[id(attacks)] = dict(zip(attacks, run(calls), strict=True))
        assert canaries.touched() == []
        return made[id(attacks)][name]

    return outcome


@pytest.fixture
def unheld() -> Iterator[Callable[[str], tuple[Outcome, list[str]]]]:
    """Makes an attack where nothing stands in its way: its outcome, and what it touched."""
    with ExitStack() as things:
        sandbox = things.enter_context(closing(Sandbox(level=Level.UNSAFE, workers=1)))
        canaries = Canaries(os.geteuid(), things)

        def attack(body: str) -> tuple[Outcome, list[str]]:
            (outcome,) = sandbox.run([attack_call(body, canaries.facts, wall_s=5.0)])
            return outcome, canaries.touched()

        yield attack


def serve(plan: IsolationPlan) -> None:
    with ExitStack() as started, ThreadPoolExecutor(WORKERS) as threads:
        try:
            workers = [_start(plan, started) for _ in range(WORKERS)]
        except IsolationError as error:
            print(error, flush=True)
            return
        print("ready", flush=True)
        for line in sys.stdin:
            outcomes = _spread([_call(fields) for fields in json.loads(line)], workers, threads)
            print(json.dumps([asdict(outcome) for outcome in outcomes]), flush=True)


if __name__ == "__main__":
    serve(next(plan for plan in find_plans(None) if [plan.level, plan.namespaces] == sys.argv[1:]))
