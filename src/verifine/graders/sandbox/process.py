"""Starts a warm process by a plan: its interpreter, its isolation, and the modules that run inside."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from verifine.errors import GraderError, SetupError
from verifine.graders.sandbox.call import Level
from verifine.graders.sandbox.cgroup import ControlGroup, find_hierarchies, make_group
from verifine.graders.sandbox.inside.frames import receive_frame, send_frame
from verifine.graders.sandbox.plan import SANDBOX_USERS, IsolationPlan, Namespaces, find_bubblewrap
from verifine.graders.sandbox.policy import UNTRUSTED, ZYGOTE
from verifine.graders.sandbox.seccomp import assemble_filter
from verifine.graders.sandbox.syscalls import find_machine
from verifine.graders.sandbox.view import View, find_view
from verifine.graders.sandbox.worker import Worker, Zygote

START_TIMEOUT_S = 60.0
"""Seconds until it is ready; importing what is to be preloaded takes the most."""

ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",  # the same order of sets in every call
    "MALLOC_ARENA_MAX": "2",  # else each thread takes 64 MiB of the address space
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}
"""The whole environment, so that untrusted code sees no keys or tokens."""

_started = itertools.count(89 * os.getpid())
"""Starts far apart even in programs that start one after the other, so that their workers are different users."""
_INSIDE = Path(__file__).with_name("inside")
_MODULES = ("kernel", "landlock", "namespaces", "frames", "guard", "untrusted", "zygote")
"""Each after those it imports; the last is the main one."""


class IsolationError(SetupError):
    """This plan does not work here; the message says why."""


def start_worker(plan: IsolationPlan, *, preload: Sequence[str] = ()) -> Worker:
    """A worker that is ready for calls.

    Raises:
        IsolationError: the plan does not work on this machine.
        GraderError: a module that is to be preloaded cannot be imported.
    """
    view = find_view()
    user = SANDBOX_USERS[next(_started) % len(SANDBOX_USERS)] if plan.drops_root else None
    zygote = _start_zygote(plan, view, user)
    try:
        zygote.channel.settimeout(START_TIMEOUT_S)
        send_frame(zygote.channel, _settings(plan, view, user, preload))
        ready, _ = receive_frame(zygote.channel)
        _check(ready)
    except (OSError, EOFError) as error:
        zygote.end()
        raise IsolationError(zygote.last_words() or f"it did not come up ({type(error).__name__})") from error
    except BaseException:
        zygote.end()
        raise
    finally:
        zygote.close_stderr()
    return Worker(zygote)


def _check(ready: Mapping[str, object]) -> None:
    if "cannot_import" in ready:
        problem = ready["cannot_import"]
        raise GraderError(f"the sandbox cannot import what it is to preload: {problem}; install it, or leave it out")
    if ready:
        raise IsolationError(str(ready["cannot_hold"]))


def _start_zygote(plan: IsolationPlan, view: View, user: int | None) -> Zygote:
    ours, theirs = socket.socketpair()
    with ExitStack() as unless_started, theirs:
        unless_started.enter_context(ours)
        try:
            process = _start_process(plan, view, user, theirs.fileno())
        except OSError as error:
            raise IsolationError(f"its process cannot be started: {error}") from error
        unless_started.pop_all()
    return Zygote(process=process, channel=ours, group=_take_in(plan, process), owner=os.getpid())


def _take_in(plan: IsolationPlan, process: subprocess.Popen[bytes]) -> ControlGroup | None:
    if not plan.has_group:
        return None
    group = make_group(find_hierarchies())
    if group is not None:
        try:
            group.take_in(process.pid)
        except OSError:
            group.remove()
            return None
    return group


def _start_process(plan: IsolationPlan, view: View, user: int | None, channel: int) -> subprocess.Popen[bytes]:
    start = (_INSIDE / "start.py").read_text()
    # -I would do but for PYTHONHASHSEED; with an environment of our own, these come to the same.
    command = [view.interpreter, "-P", "-s", "-S", "-B", "-c", start, str(channel)]
    if plan.namespaces is Namespaces.BUBBLEWRAP:
        command = [*_bubblewrap(view), *command]
    else:
        user = None  # it must be root to mount what its user cannot, and switches to that user later
    return subprocess.Popen(  # noqa: S603 - the running interpreter, and a script of ours
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd="/",
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        pass_fds=(channel,),
        start_new_session=True,  # Ctrl-C is for us, and we end it
    )


def _bubblewrap(view: View) -> list[str]:
    program = find_bubblewrap()
    if program is None:
        raise IsolationError("bubblewrap (bwrap) is not installed")
    arguments = [program, "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    arguments += ["--unshare-cgroup-try", "--as-pid-1", "--cap-drop", "ALL", "--hostname", "sandbox"]
    for path in (*view.read, view.interpreter):
        arguments += ["--ro-bind", path, path]
    for path, target in view.links:
        arguments += ["--symlink", target, path]
    for path in view.devices:
        arguments += ["--dev-bind", path, path]
    return [*arguments, "--proc", "/proc", "--remount-ro", "/", "--chdir", "/", "--"]


def _settings(plan: IsolationPlan, view: View, user: int | None, preload: Sequence[str]) -> dict[str, object]:
    confined = plan.level is not Level.UNSAFE
    machine = find_machine() if confined else None
    package = f"{__package__}.inside"
    return {
        "modules": {package: "", **{f"{package}.{name}": (_INSIDE / f"{name}.py").read_text() for name in _MODULES}},
        "view": {
            "read": view.read,
            "devices": view.devices,
            "links": view.links,
            "packages": view.packages,
        },
        "preload": list(preload),
        "confined": confined,
        "own_namespaces": plan.namespaces is Namespaces.OWN,
        "drop_to": None if plan.namespaces is Namespaces.BUBBLEWRAP else user,
        # With namespaces there is a process in between. The kernel ends a child when the thread that started it ends.
        "ends_with_parent": plan.namespaces is not Namespaces.NONE,
        "zygote_filter": assemble_filter(machine, ZYGOTE).hex() if machine else "",
        "child_filter": assemble_filter(machine, UNTRUSTED).hex() if machine else "",
    }
