"""Tests a worker before it is used: attacks that must fail, and honest work that must succeed."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from verifine.graders.sandbox.call import Call, Limits
from verifine.graders.sandbox.process import ENVIRONMENT, IsolationError
from verifine.graders.sandbox.worker import Worker, WorkerError
from verifine.types import Json

HONEST = """
import json, math, re

def work(facts):
    return [re.sub("a+", "b", "caat"), json.loads("[1]"), math.sqrt(4.0), sorted({3, 1, 2})]
"""
_HONEST_ANSWER: Json = ["cbt", [1], 2.0, [1, 2, 3]]

ATTACKS: Mapping[str, str] = {
    "reading a file": "open(facts['file']).read()",
    "writing a file": "open('/tmp/verifine-selftest', 'w').write('x')",
    "changing a file": "os.chmod(facts['file'], 0o600)",
    "connecting": "socket.create_connection(('127.0.0.1', facts['port']), 1)",
    "sending a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', facts['port']))",
    "forking": "os.fork() or os._exit(0)",
    "starting a program": "os.execv('/bin/true', ['true'])",
    "ending its parent": "os.kill(os.getppid(), 9)",
    "tracing its parent": "called(libc.ptrace(16, os.getppid(), None, None))",
    "making namespaces": "called(libc.unshare(0x10000000))",
    "hiding memory": "os.memfd_create('x')",
    "reading the environment": "refused() if set(os.environ) <= set(facts['names']) else None",
    "using descriptors of others": "refused() if not [n for n in range(4, 256) if is_open(n)] else None",
    "being root": "refused() if 0 not in os.getresuid() else None",
}
"""Each must end in OSError; `facts` name the targets."""

_ATTACK = """
import ctypes, os, socket

libc = ctypes.CDLL(None, use_errno=True)

def refused():
    raise OSError("refused")

def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno())

def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True

def work(facts):
    try:
        {attack}
    except OSError:
        return "refused"
    return "done"
"""


def prove(worker: Worker) -> None:
    """Try it all.

    Raises:
        IsolationError: an attack got through, or honest work did not.
    """
    try:
        with _canaries() as facts:
            _prove(worker, facts)
    except (OSError, WorkerError) as error:
        raise IsolationError(f"its self-test: it broke ({error})") from error


def _prove(worker: Worker, facts: Json) -> None:
    outcome = worker.run(Call(source=HONEST, function="work", arguments=(facts,)), Limits())
    if outcome.value != _HONEST_ANSWER:
        raise IsolationError(f"its self-test: honest code does not run ({outcome.message or outcome.value})")
    for name, attack in ATTACKS.items():
        source = _ATTACK.format(attack=attack)
        outcome = worker.run(Call(source=source, function="work", arguments=(facts,)), Limits())
        if outcome.value != "refused":
            raise IsolationError(f"its self-test: {name} was not refused ({outcome.message or outcome.value})")


@contextmanager
def _canaries() -> Iterator[dict[str, Json]]:
    """A file and a port that would be open to every process if there were no isolation."""
    with (
        tempfile.TemporaryDirectory(prefix="verifine-selftest-") as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        Path(folder).chmod(0o755)
        file = Path(folder, "canary")
        file.write_text("canary")
        file.chmod(0o666)
        yield {"file": str(file), "port": server.getsockname()[1], "names": [*ENVIRONMENT]}
