"""The servers of benchmarks/serving.py: how each is started, and a process that is waited for and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from vllm_engine import vllm_variables
from vllm_environment import default_environment, make_vllm

START_LIMIT_S = 900
STOP_LIMIT_S = 30


class ServerError(Exception):
    """A server that ended, or was not ready in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedJob:
    """What every server loads, and how much it has to hold."""

    folder: Path
    """Its path is the name by which clients ask for it."""
    precision: str
    context_tokens: int
    """Of a prompt and its answer."""
    new_tokens: int
    most_streams: int
    """Every server has room for so many answers at a time."""
    vllm_python: Path | None = None
    """None: the environment that this benchmark makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProgram:
    """A command that serves."""

    settings: str
    command: tuple[str, ...]
    ready_path: str
    """Answers with status 200 once the model is loaded."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside that of this process."""


def verifine(job: ServedJob, port: int) -> ServerProgram:
    limits = {
        "context_tokens": job.context_tokens,
        "answer_tokens": job.new_tokens,
        "concurrent_answers": job.most_streams,
    }
    return ServerProgram(
        settings=job.precision,
        command=(
            *(sys.executable, "-m", "verifine", "endpoint", str(job.folder)),
            *(f"{name}={value}" for name, value in limits.items()),
            *("--name", str(job.folder), "--port", str(port), "--precision", job.precision),
        ),
        ready_path="/readyz",
    )


def vllm(job: ServedJob, port: int) -> ServerProgram:
    """Compiled, which is its default."""
    python = job.vllm_python or make_vllm(default_environment())
    return ServerProgram(
        settings=f"{job.precision}, compiled",
        command=(
            *(str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(job.folder)),
            *("--host", "127.0.0.1", "--port", str(port), "--dtype", job.precision),
            *("--max-model-len", str(job.context_tokens), "--max-num-seqs", str(job.most_streams)),
            "--disable-uvicorn-access-log",
        ),
        ready_path="/health",
        environment={
            "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            **vllm_variables(python),
        },
    )


def transformers(job: ServedJob, port: int) -> ServerProgram:
    """One request at a time, which is its default."""
    return ServerProgram(
        settings=job.precision,
        command=(
            *(sys.executable, "-m", "transformers.cli.transformers", "serve", str(job.folder)),
            *("--host", "127.0.0.1", "--port", str(port), "--dtype", job.precision, "--device", "cpu"),
        ),
        ready_path="/health",
        environment={"HF_HUB_OFFLINE": "1"},
    )


def transformers_batching(job: ServedJob, port: int) -> ServerProgram:
    """Many at a time. Told how much to hold, since it would take nine tenths of all memory on a processor."""
    one_by_one = transformers(job, port)
    page_tokens, batch_tokens = 256, 2048
    blocks = job.most_streams * -(-job.context_tokens // page_tokens)
    return ServerProgram(
        settings=f"{one_by_one.settings}, continuous batching",
        command=(
            *one_by_one.command,
            *("--continuous-batching", "--cb-num-blocks", str(blocks), "--cb-max-batch-tokens", str(batch_tokens)),
        ),
        ready_path=one_by_one.ready_path,
        environment=one_by_one.environment,
    )


SERVERS: Mapping[str, Callable[[ServedJob, int], ServerProgram]] = {
    "verifine": verifine,
    "vllm": vllm,
    "transformers": transformers,
    "transformers-batching": transformers_batching,
}
"""A program for a job and a port."""


@contextmanager
def running(program: ServerProgram, url: str, log: Path) -> Iterator[None]:
    """Starts the server, waits until it is ready, and stops it in the end.

    Raises:
        ServerError: it ended, or was not ready in time.
    """
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            program.command,
            stdout=file,
            stderr=file,
            env={**os.environ, **program.environment},
            start_new_session=True,  # so that all of its processes can be ended
        )
    try:
        _wait_until_ready(process, url + program.ready_path)
        yield
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise ServerError(f"ended with exit status {process.returncode} before it was ready")
        with suppress(httpx2.TransportError):
            if httpx2.get(url, timeout=5).status_code == httpx2.codes.OK:
                return
        time.sleep(0.05)
    raise ServerError(f"not ready after {START_LIMIT_S} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_LIMIT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
