"""One run of a sweep in a process of its own: the command that a user would give, read through its JSON Lines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from verifine.types import Json

STOP_S = 10.0
"""How long a process may take to stop at once before it is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """How the runs of a sweep are trained; nothing in here changes what they learn."""

    skip_check: bool = False
    unsafe_grader_exec: bool = False
    drop_checkpoints: bool = False
    """Whether the checkpoints of a complete run are removed; its model stays."""

    def grader_words(self) -> list[str]:
        """What a process that runs graders is told."""
        return ["--unsafe-grader-exec"] if self.unsafe_grader_exec else []


class TrainingProcess(Protocol):
    """A `verifine` command that runs."""

    def rows(self) -> Iterator[dict[str, Json]]:
        """What it prints, until it ends."""
        ...

    def end(self) -> int:
        """Waits for its end; the exit code, or minus the number of the signal that killed it."""
        ...

    def pause(self) -> None:
        """Asks it to finish its step and save a checkpoint; once is enough."""
        ...

    def stop(self) -> None:
        """Ends it now."""
        ...


LaunchProcess = Callable[[Sequence[str | Path], Path], TrainingProcess]
"""Starts `verifine` with these words, and with its standard error in this file."""


class CommandProcess:
    """The command in a child process.

    It is in a session of its own, so that Ctrl-C in a terminal reaches the sweep alone.
    """

    def __init__(self, words: Sequence[str | Path], log: Path) -> None:
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "verifine", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert self._process.stdout is not None, "it was opened as a pipe"
        self._output = self._process.stdout
        self._is_paused = False

    def rows(self) -> Iterator[dict[str, Json]]:
        for line in self._output:
            try:
                row = json.loads(line)
            except ValueError:  # printed by a library
                continue
            if isinstance(row, dict):
                yield row

    def end(self) -> int:
        code = self._process.wait()
        self._output.close()
        return code

    def pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        if not self._is_paused:
            self._process.send_signal(signal.SIGTERM)  # the second signal stops it at once
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.end()


def explain_end(code: int, log: Path) -> str:
    """Why a process ended without success: in its own words, if it had any."""
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    _, found, message = text.rpartition("verifine: ")
    if code > 0 and found:
        return message
    if code == -signal.SIGKILL:
        return "the process was killed; perhaps memory ran out"
    how = f"the process ended with exit code {code}" if code > 0 else f"the process was ended by signal {-code}"
    return f"{how}; the last it said was: {text.splitlines()[-1]}" if text else how
