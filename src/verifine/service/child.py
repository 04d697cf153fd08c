"""A question to a module in a process of its own, which may be killed: JSON in, JSON out."""

from __future__ import annotations

import subprocess
import sys

from verifine.errors import VerifineError


class ChildError(VerifineError):
    """A process that failed, or took too long (`is_late`)."""

    def __init__(self, message: str, *, is_late: bool = False) -> None:
        super().__init__(message)
        self.is_late = is_late


def ask_module(module: str, question: bytes, timeout_s: float) -> bytes:
    """What `python -m module` prints when it is given the question.

    Raises:
        ChildError: it failed, or took too long.
    """
    try:
        done = subprocess.run([sys.executable, "-m", module], input=question, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise ChildError(f"it took longer than {timeout_s:g} s", is_late=True) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ChildError(f"the process failed: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout
