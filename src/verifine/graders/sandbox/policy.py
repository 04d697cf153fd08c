"""Which system calls untrusted code may make, and which the process that forks it."""

from __future__ import annotations

from collections.abc import Mapping

from verifine.graders.sandbox.inside.kernel import OWN_PROCESS
from verifine.graders.sandbox.seccomp import Action, Condition, Rule

_ALWAYS: Rule = ()

_MEMORY = "brk munmap mprotect mremap"
_READING = (
    "open openat close read readv pread64 lseek stat lstat fstat newfstatat statx access faccessat faccessat2 "
    "readlink readlinkat getdents64 getcwd dup dup2 dup3"
)
_WRITING = "write writev"
_WAITING = (
    "pipe pipe2 eventfd2 recvfrom epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll select "
    "pselect6 nanosleep alarm getitimer setitimer restart_syscall"
)
_TELLING = (
    "gettimeofday times uname sysinfo getrandom getrusage getrlimit getcpu "
    "getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid getpgrp"
)
_THREADS = "set_robust_list rseq set_tid_address sched_yield exit exit_group"
_SIGNALS = "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait sigaltstack"

_FORKING = "fork wait4 kill tgkill setpgid recvmsg fcntl close_range sched_getaffinity madvise"
_HOLDING = "prlimit64 prctl seccomp landlock_create_ruleset landlock_restrict_self"

_THREAD_FLAGS = 0x00010000 | 0x00000800 | 0x00000100  # CLONE_THREAD, CLONE_SIGHAND, CLONE_VM
_NAMESPACE_FLAGS = 0x7E020000 | 0x00000080  # CLONE_NEW*
_PROCESS_FLAGS = 0x0000E000 | 0x00800000  # CLONE_PTRACE, CLONE_VFORK, CLONE_PARENT, CLONE_UNTRACED
_DESCRIPTOR_COMMANDS = (0, 1, 2, 3, 4, 1030, 1032)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ. F_SETOWN would send signals."""
_HARMLESS_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what Python asks of a file it opens."""
_NAMES_OF_THREADS_AND_MEMORY = (15, 16, 0x53564D41)
"""PR_SET_NAME, PR_GET_NAME, PR_SET_VMA."""
_FUTEX_OPERATION = 0xFF
_FUTEX_OPERATIONS = (0, 9, 0x80, 0x81, 0x83, 0x84, 0x85, 0x89, 0x8A)
"""Wait, and for private ones wake and requeue: a page of a library is shared with processes of other calls.

The operations for priority inheritance have a history of security holes.
"""
_KIND_OF_MAPPING, _PRIVATE_MAPPING = 0xF, 2
"""Shared memory outlives its addresses, and the limit counts addresses."""
_ADVICE = (0, 1, 2, 3, 4, 8, 15)
"""MADV_NORMAL, _RANDOM, _SEQUENTIAL, _WILLNEED, _DONTNEED, _FREE, _NOHUGEPAGE: no merged pages, no huge ones."""
_ALL_BUT_LOW_CLOCKS = 0xFFFFFFF0
"""Higher numbers are the clocks of other processes."""
_POINTER = 0xFFFFFFFFFFFFFFFF

_UNIX_SOCKET, _STREAM, _TYPE_WITHOUT_FLAGS = 1, 1, 0xF

UNTRUSTED: Mapping[str, Rule] = {
    **dict.fromkeys(f"{_MEMORY} {_READING} {_WRITING} {_WAITING} {_TELLING} {_THREADS} {_SIGNALS}".split(), _ALWAYS),
    "clone": (Condition(argument=0, mask=_THREAD_FLAGS | _NAMESPACE_FLAGS | _PROCESS_FLAGS, values=(_THREAD_FLAGS,)),),
    "clone3": Action.ABSENT,  # its flags lie in memory, where a filter cannot see them
    "tgkill": (Condition(argument=0, values=(OWN_PROCESS,)),),  # abort() signals itself
    "prlimit64": (Condition(argument=2, mask=_POINTER, values=(0,)), Condition(argument=0, values=(0, OWN_PROCESS))),
    **dict.fromkeys(
        ("clock_gettime", "clock_getres", "clock_nanosleep"),
        (Condition(argument=0, mask=_ALL_BUT_LOW_CLOCKS, values=(0,)),),
    ),
    "getpgid": (Condition(argument=0, values=(0,)),),
    "sched_getaffinity": (Condition(argument=0, values=(0, OWN_PROCESS)),),
    "prctl": (Condition(argument=0, values=_NAMES_OF_THREADS_AND_MEMORY),),
    "mmap": (Condition(argument=3, mask=_KIND_OF_MAPPING, values=(_PRIVATE_MAPPING,)),),
    "madvise": (Condition(argument=2, values=_ADVICE),),
    "futex": (Condition(argument=1, mask=_FUTEX_OPERATION, values=_FUTEX_OPERATIONS),),
    "fcntl": (Condition(argument=1, values=_DESCRIPTOR_COMMANDS),),
    "ioctl": (Condition(argument=1, values=_HARMLESS_IOCTLS),),
    # asyncio wakes itself through a pair of connected sockets; they lead nowhere else.
    "socketpair": (
        Condition(argument=0, values=(_UNIX_SOCKET,)),
        Condition(argument=1, mask=_TYPE_WITHOUT_FLAGS, values=(_STREAM,)),
    ),
    "sendto": (Condition(argument=4, mask=_POINTER, values=(0,)),),  # no address
}

ZYGOTE: Mapping[str, Rule] = {
    **UNTRUSTED,
    **dict.fromkeys(f"{_FORKING} {_HOLDING}".split(), _ALWAYS),
    "clone": (Condition(argument=0, mask=_NAMESPACE_FLAGS, values=(0,)),),
}
"""Whatever a child may do, its zygote must be allowed to, for the child is held by both filters."""
