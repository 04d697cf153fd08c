"""System calls that Python does not offer, through the C library."""

from __future__ import annotations

import ctypes
import os

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

AT_FDCWD = -100

# Numbers from 424 on are the same on every machine.
OPEN_TREE = 428
MOVE_MOUNT = 429
MOUNT_SETATTR = 442
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_ADD_RULE = 445
LANDLOCK_RESTRICT_SELF = 446

OWN_PROCESS = 0x7A7A7A7A
"""Stands in a filter for the number of the process that it is loaded into."""

_CAPABILITY_VERSION = 0x20080522
_BYTES_OF_INSTRUCTION = 8

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def system_call(number: int, *arguments: int | bytes | None) -> int:
    """The result of the call with that number.

    Raises:
        OSError: the kernel refused it.
    """
    words = [ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each) for each in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words))


def prctl(option: int, value: int = 0, pointer: object = None) -> int:
    zero = ctypes.c_ulong(0)
    third = zero if pointer is None else pointer
    return _checked(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), third, zero, zero))


def unshare(flags: int) -> None:
    _checked(_libc.unshare(ctypes.c_int(flags)))


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [text.encode() if text is not None else None for text in (source, target, kind, options)]
    _checked(_libc.mount(*texts[:3], ctypes.c_ulong(flags), texts[3]))


def unmount(target: str, flags: int) -> None:
    _checked(_libc.umount2(target.encode(), ctypes.c_int(flags)))


def pivot_root(new_root: str, put_old: str) -> None:
    _checked(_libc.pivot_root(new_root.encode(), put_old.encode()))


def set_host_name(name: bytes) -> None:
    _checked(_libc.sethostname(name, ctypes.c_size_t(len(name))))


def drop_capabilities() -> None:
    """For this process and whatever it could start."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # not permitted, or none are left
            break
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()))


def filter_system_calls(program: bytes) -> None:
    """Load a filter. More can be added later; none can be removed."""
    loaded = _Program(len(program) // _BYTES_OF_INSTRUCTION, program)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(loaded))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
