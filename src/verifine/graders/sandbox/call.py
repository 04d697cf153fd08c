"""A call to the sandbox, its limits, and its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from verifine.types import Json


class Level(StrEnum):
    """How strongly untrusted code is isolated. There is no other level: code that cannot be isolated is refused."""

    FULL = "full"
    """Namespaces, Landlock, a system call filter and resource limits."""
    KERNEL = "kernel"
    """The same without namespaces, where a container or the kernel's settings forbid them."""
    UNSAFE = "unsafe"
    """Limits of time and size only. The machine's owner must ask for it on the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one call may use; a process that needs more is killed."""

    wall_s: float = 5.0
    cpu_s: float = 5.0
    """CPU time of all threads together; counted in whole seconds, rounded up."""
    memory_bytes: int = 512 << 20
    """Address space, on top of what the worker uses before the call."""
    answer_bytes: int = 64 << 10
    """Size of the returned value as JSON."""
    output_bytes: int = 64 << 10
    """Size of standard output; more is an error, not cut off silently."""
    file_bytes: int = 8 << 20
    """Size of a file it writes, which only unsafe code can."""
    open_files: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Untrusted code, and how to run it.

    With `function`, the source is executed and its function of that name is called with `arguments`; what it returns,
    as JSON, is the value. Without, the source is a program: it reads `stdin`, and what it prints is all that counts.

    All of it can be read by the code, also `arguments` and what is left of `stdin`. The expected result does not
    belong here.
    """

    source: str
    function: str | None = None
    arguments: tuple[Json, ...] = ()
    stdin: str = ""
    limits: Limits | None = None
    """None: those of the sandbox."""


class CallFault(StrEnum):
    """The reason why a call has no value."""

    SOURCE = "source"
    """It does not compile, raises while it is loaded, or has no such function."""
    RAISED = "raised"
    """The function or the program raised."""
    TIMEOUT = "timeout"
    """It took longer than `wall_s` or `cpu_s`."""
    MEMORY = "memory"
    """It wanted more than `memory_bytes`."""
    ENDED = "ended"
    """The process ended without an answer: by a signal, or because the code ended it."""
    ANSWER = "answer"
    """What it returned is not strict JSON (NaN and infinities are not), or too large; or it printed too much."""
    SANDBOX = "sandbox"
    """The sandbox itself failed, twice; it is not the code's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a call. All but `fault` and `seconds` comes from the code itself and is not to be trusted."""

    value: Json = None
    """What the function returned; None where there is a fault, or no function was called."""
    stdout: str = ""
    fault: CallFault | None = None
    message: str = ""
    """What went wrong, in one line, with the line of the source where it is known."""
    seconds: float = 0.0
    """From the worker taking the call up to its answer."""
