"""The warm process: forks one child a call, and ends it. It reads no call and no answer, and runs no untrusted code.

Run by `start.py` in an interpreter of its own, so it imports nothing but the standard library and what lies beside it.
"""

from __future__ import annotations

import _sitebuiltins
import builtins
import fcntl
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from verifine.graders.sandbox.inside import namespaces
from verifine.graders.sandbox.inside.frames import receive_frame, send_frame
from verifine.graders.sandbox.inside.guard import Guard
from verifine.graders.sandbox.inside.untrusted import ANSWER_DESCRIPTOR, answer_call

_SAYS_HELD = ANSWER_DESCRIPTOR + 1
_MAX_DESCRIPTOR = 1 << 16


def serve_calls(channel: socket.socket, settings: dict[str, Any]) -> NoReturn:
    """Serve calls until the other side closes the channel."""
    view = settings["view"]
    try:
        if settings["own_namespaces"]:
            namespaces.fork_into(channel)
        guard = Guard(settings)
        if settings["own_namespaces"]:
            namespaces.change_root(view["read"], view["devices"], view["links"])
        guard.hold_zygote()
    except Exception as error:  # noqa: BLE001 - the other side must be told, whatever it is
        _give_up(channel, "cannot_hold", error)
    try:
        _prepare(view["packages"], settings["preload"])
    except Exception as error:  # noqa: BLE001
        _give_up(channel, "cannot_import", error)
    guard.measure()
    os.dup2(1, 2)  # anything written there from now on is discarded, as on standard output
    send_frame(channel, {})
    with suppress(EOFError, OSError):
        while True:
            _serve(channel, guard)
    os._exit(0)


def _give_up(channel: socket.socket, what: str, error: Exception) -> NoReturn:
    send_frame(channel, {what: f"{type(error).__name__}: {error}"})
    os._exit(1)


def _prepare(packages: Sequence[str], preload: Sequence[str]) -> None:
    sys.path.extend(packages)
    os.environ.pop("PWD", None)  # bubblewrap puts it there
    # What the module `site` adds, and programs use. It is not run here, for it also runs what .pth files say.
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D")
    for name in preload:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what the children inherit is not looked at again, so its memory stays shared


def _serve(channel: socket.socket, guard: Guard) -> None:
    """One call: a frame with its limits and descriptors, then a frame that says to end it, then what came of it."""
    limits, descriptors = receive_frame(channel)
    is_held, says_held = os.pipe()
    child = os.fork()
    if not child:
        _become_child(descriptors, says_held, guard, limits)
    for descriptor in (*descriptors, says_held):
        os.close(descriptor)
    try:
        with suppress(OSError):
            os.setpgid(child, child)
        if os.read(is_held, 1):
            receive_frame(channel)
            outcome: dict[str, object] = {}
        else:
            outcome = {"error": "a process could not be held"}
    finally:  # also when the other side is gone
        os.close(is_held)
        for end in (os.killpg, os.kill):
            with suppress(ProcessLookupError):
                end(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    code, cpu_s = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
    send_frame(channel, {**outcome, "code": code, "cpu_s": cpu_s})


def _become_child(descriptors: Sequence[int], says_held: int, guard: Guard, limits: dict[str, Any]) -> NoReturn:
    """Nothing untrusted is read before the limits are on and every other descriptor is closed."""
    try:
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_WRONLY)  # anew: its flags would be there for the next call to see
        _keep((*descriptors, nothing, says_held), (0, 1, ANSWER_DESCRIPTOR, 2, _SAYS_HELD))
        guard.hold_child(limits)
        os.write(_SAYS_HELD, b"+")
        os.close(_SAYS_HELD)
        answer_call()
    finally:
        os._exit(1)


def _keep(descriptors: Sequence[int], places: Sequence[int]) -> None:
    """Move the descriptors to their places, and close all others."""
    apart = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, max(places) + 1) for descriptor in descriptors]
    for descriptor, place in zip(apart, places, strict=True):
        os.dup2(descriptor, place)
    os.closerange(max(places) + 1, _MAX_DESCRIPTOR)
