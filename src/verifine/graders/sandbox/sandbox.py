"""Warm processes, and calls distributed over them."""

from __future__ import annotations

import os
import queue
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor

from verifine.errors import GraderError, SandboxUnavailableError, VerifineError
from verifine.graders.sandbox.call import Call, CallFault, Level, Limits, Outcome
from verifine.graders.sandbox.level import find_plan, start_proved_worker
from verifine.graders.sandbox.worker import Worker, WorkerError
from verifine.machine.threads import decide_threads

DEFAULT_LIMITS = Limits()
_ATTEMPTS = 2


class Sandbox:
    """Runs untrusted code. Any number of threads may use it at once; its owner closes it."""

    def __init__(
        self,
        *,
        level: Level | None = None,
        workers: int | None = None,
        preload: Sequence[str] = (),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Start the first worker; the others start when there is work for them.

        Args:
            level: None for the best that this machine has. `UNSAFE` is never chosen, only asked for.
            workers: how many calls run at once; None for as many as `machine.threads` decides.
            preload: modules to import once, so that each call has them at no cost.
            limits: for calls without their own.

        Raises:
            SandboxUnavailableError: this machine has no such level.
            GraderError: a module that is to be preloaded cannot be imported.
        """
        found, missing = find_plan(level, preload=preload)
        if found is None:
            wanted = "" if level is None else f" at the level {level}"
            raise SandboxUnavailableError(
                f"sandbox_unavailable: untrusted code cannot be isolated{wanted} on this machine. "
                f"Missing: {'; '.join(missing)}"
            )
        self._plan = found.plan
        self._preload = tuple(preload)
        self._limits = limits
        self._closed = False
        self._owner = os.getpid()
        count = workers or decide_threads().grading
        self._free: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        """A slot for each worker; None: not started yet."""
        for _ in range(count - 1):
            self._free.put(None)
        self._free.put(found.worker)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="verifine-sandbox")

    @property
    def level(self) -> Level:
        return self._plan.level

    def run(self, calls: Sequence[Call]) -> list[Outcome]:
        """One outcome a call, in their order. Exceptions of untrusted code are never raised here.

        Raises:
            GraderError: the sandbox is closed.
        """
        if os.getpid() != self._owner:
            raise GraderError("the sandbox belongs to the process that made it, and this is a fork; make another")
        if not self._closed:
            try:
                return list(self._threads.map(self._run_one, calls))
            except CancelledError:
                pass
            except RuntimeError:  # closed between the look and the call
                if not self._closed:
                    raise
        raise GraderError("the sandbox is closed; make another")

    def close(self) -> None:
        """End every process after the calls in progress. Safe to call twice."""
        self._closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._free.empty():
            worker = self._free.get()
            if worker is not None:
                worker.end()

    def _run_one(self, call: Call) -> Outcome:
        reason = ""
        for _ in range(_ATTEMPTS):
            worker = self._free.get()
            try:
                worker = worker or start_proved_worker(self._plan, preload=self._preload)
                return worker.run(call, call.limits or self._limits)
            except WorkerError as error:
                worker = None
                reason = str(error)
            except VerifineError as error:
                reason = str(error)
            finally:
                self._free.put(worker)
        return Outcome(fault=CallFault.SANDBOX, message=f"the sandbox failed twice: {reason}")
