"""Attacks on other processes and on the kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from verifine.graders.sandbox import CallFault, Outcome

Attack = tuple[str, Sequence[CallFault | str | float]]

ATTACKS: Mapping[str, Attack] = {
    "fork bomb": (
        """
        def fork():
            for _ in range(300):
                if not os.fork():
                    time.sleep(5)

        return held(fork, os.fork, os.forkpty)
        """,
        ["held"],
    ),
    "fork by other names": (
        """
        numbers = [57, 58] if os.uname().machine == "x86_64" else []
        flags = [17, 0, 0x4111, 0x10000011, 0x7E020011, 0x100, 0x900, 0x8900, 0x800011]
        clone = 56 if os.uname().machine == "x86_64" else 220
        clone3 = bytes(88)
        argument = ctypes.cast(ctypes.create_string_buffer(clone3), ctypes.c_void_p).value
        return [
            each_held(syscall, numbers),
            each_held(lambda flag: syscall(clone, flag, 0, 0, 0, 0), flags),
            held(lambda: syscall(435, argument, 88)),
        ] == ["held"] * 3 and "held"
        """,
        ["held"],
    ),
    "start programs": (
        """
        import subprocess

        return held(
            lambda: subprocess.run(["/bin/sh", "-c", "id"]),
            lambda: os.execv("/bin/sh", ["sh"]),
            lambda: os.posix_spawn("/bin/true", ["true"], {}),
            lambda: os.execve(sys.executable, ["python"], {}),
            lambda: called(-os.system("true")),
            lambda: syscall(322 if os.uname().machine == "x86_64" else 281, 0, 0, 0, 0, 0),
        )
        """,
        ["held"],
    ),
    "use multiprocessing": (
        """
        import multiprocessing

        return held(
            lambda: multiprocessing.get_context("fork").Process(target=print).start(),
            lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
            multiprocessing.Lock,
        )
        """,
        ["held"],
    ),
    "signal everybody": (
        """
        targets = [
            os.getppid(),
            1,
            -1,
            0,
            facts["victim"],
            facts["service"],
            -os.getppid(),
            -facts["victim"],
        ]
        return each_held(lambda target: os.kill(target, signal.SIGKILL), targets)
        """,
        ["held"],
    ),
    "signal by other names": (
        """
        x86 = os.uname().machine == "x86_64"
        info = ctypes.cast(ctypes.create_string_buffer(128), ctypes.c_void_p).value

        def every(victim):
            return held(
                lambda: syscall(200 if x86 else 130, victim, 9),
                lambda: syscall(234 if x86 else 131, victim, victim, 9),
                lambda: syscall(129 if x86 else 138, victim, 9, info),
                lambda: syscall(297 if x86 else 240, victim, victim, 9, info),
                lambda: syscall(434, victim, 0),
                lambda: os.killpg(victim, 9),
                lambda: syscall(424, 0, 9, 0, 0),
            )

        found = [every(victim) for victim in (facts["victim"], os.getppid(), facts["service"])]
        return "held" if set(found) == {"held"} else found
        """,
        ["held"],
    ),
    "signal through a descriptor": (
        r"""
        import fcntl

        ends = os.pipe()
        return held(
            lambda: fcntl.fcntl(ends[0], fcntl.F_SETOWN, facts["victim"]),
            lambda: fcntl.fcntl(ends[0], 10, 9),
            lambda: fcntl.fcntl(ends[0], 15, b"\0" * 8),
            lambda: fcntl.ioctl(ends[0], 0x8901, struct.pack("i", facts["victim"])),
        )
        """,
        ["held"],
    ),
    "trace and read other processes": (
        """
        buffer = ctypes.create_string_buffer(64)

        def look(pid):
            vector = struct.pack("QQ", ctypes.addressof(buffer), 64)
            there = struct.pack("QQ", ctypes.addressof(buffer), 64)
            return held(
                lambda: called(libc.ptrace(16, pid, None, None)),
                lambda: called(libc.ptrace(0x4206, pid, None, None)),
                lambda: called(libc.process_vm_readv(pid, vector, 1, there, 1, 0)),
                lambda: called(libc.process_vm_writev(pid, vector, 1, there, 1, 0)),
                lambda: syscall(312, pid, pid, 0, 0, 0),
            )

        found = [look(pid) for pid in (os.getppid(), facts["victim"], facts["service"], 1)]
        return "held" if set(found) == {"held"} else found
        """,
        ["held"],
    ),
    "rarely used system calls": (
        """
        x86 = {
            "io_uring": 425,
            "userfaultfd": 323,
            "bpf": 321,
            "keyctl": 250,
            "add_key": 248,
            "request_key": 249,
            "unshare": 272,
            "setns": 308,
            "perf_event_open": 298,
            "kexec_load": 246,
            "init_module": 175,
            "delete_module": 176,
            "finit_module": 313,
            "reboot": 169,
            "swapon": 167,
            "acct": 163,
            "iopl": 172,
            "ioperm": 173,
            "personality": 135,
            "modify_ldt": 154,
            "open_tree": 428,
            "move_mount": 429,
            "fsopen": 430,
            "mount_setattr": 442,
            "landlock_add_rule": 445,
            "pidfd_getfd": 438,
            "process_madvise": 440,
            "vmsplice": 278,
            "splice": 275,
            "tee": 276,
            "shmget": 29,
            "semget": 64,
            "msgget": 68,
            "mq_open": 240,
            "timer_create": 222,
            "name_to_handle_at": 303,
            "open_by_handle_at": 304,
            "quotactl": 179,
            "syslog": 103,
            "vhangup": 153,
            "remap_file_pages": 216,
            "mbind": 237,
            "migrate_pages": 256,
            "move_pages": 279,
            "kcmp": 312,
            "seccomp": 317,
            "execveat": 322,
            "io_setup": 206,
            "mlock": 149,
            "mlockall": 151,
            "settimeofday": 164,
            "clock_settime": 227,
            "adjtimex": 159,
            "setsid": 112,
            "sethostname": 170,
            "setdomainname": 171,
            "capset": 126,
            "lookup_dcookie": 212,
            "ustat": 136,
            "_sysctl": 156,
        }
        arm = {
            "io_uring": 425,
            "userfaultfd": 282,
            "bpf": 280,
            "keyctl": 219,
            "unshare": 97,
            "setns": 268,
            "perf_event_open": 241,
            "personality": 92,
            "seccomp": 277,
            "execveat": 281,
            "capset": 91,
            "mlock": 228,
            "reboot": 142,
            "shmget": 194,
            "open_tree": 428,
        }
        numbers = x86 if os.uname().machine == "x86_64" else arm
        return each_held(lambda name: syscall(numbers[name], 0, 0, 0, 0, 0), numbers)
        """,
        ["held"],
    ),
    "system calls of another convention": (
        """
        if os.uname().machine != "x86_64":
            return "held"
        return each_held(
            lambda number: syscall(0x40000000 | number, 0, 0, 0), [0, 1, 2, 39, 41, 57, 59, 512, 520, 545]
        )
        """,
        ["held"],
    ),
    "system calls of 32 bits": (
        """
        if os.uname().machine != "x86_64":
            return "held"
        code = bytes.fromhex("b814000000cd80c3")  # mov eax, 20 (getpid of i386); int 0x80; ret
        rights = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, rights)
        page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        return ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        """,
        ["held", CallFault.ENDED],
    ),
    "become somebody": (
        """
        return (
            held(
                lambda: os.setuid(0),
                lambda: os.setresuid(0, 0, 0),
                lambda: os.setgid(0),
                lambda: os.setgroups([0]),
                lambda: os.seteuid(1),
                lambda: called(
                    libc.capset(struct.pack("II", 0x20080522, 0), struct.pack("6I", *[0xFFFFFFFF] * 6))
                ),
            )
            if 0 not in (*os.getresuid(), *os.getresgid())
            else "root"
        )
        """,
        ["held"],
    ),
    "lift the limits": (
        """
        import resource

        kinds = [
            resource.RLIMIT_AS,
            resource.RLIMIT_CPU,
            resource.RLIMIT_NOFILE,
            resource.RLIMIT_NPROC,
            resource.RLIMIT_FSIZE,
        ]
        most = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

        def lift(kind):
            try:
                return resource.setrlimit(kind, most)
            except ValueError as error:
                raise OSError from error

        def other(kind):
            return resource.prlimit(os.getppid(), kind, (0, 0))

        def read(kind):
            return resource.prlimit(facts["victim"], kind)

        found = [each_held(lift, kinds), each_held(other, kinds), each_held(read, kinds)]
        finite = resource.getrlimit(resource.RLIMIT_AS)[1] != resource.RLIM_INFINITY
        return "held" if set(found) == {"held"} and finite else found
        """,
        ["held"],
    ),
    "undo the filter": (
        """
        return held(
            *(
                lambda option=option: called(libc.prctl(option, 0, 0, 0, 0))
                for option in (1, 4, 8, 22, 23, 24, 28, 35, 38, 47, 59)
            ),
            lambda: called(libc.prctl(0x59616D61, -1, 0, 0, 0)),
        )
        """,
        ["held"],
    ),
    "take the processor": (
        """
        import ctypes

        return held(
            lambda: os.nice(-5),
            lambda: os.setpriority(os.PRIO_PROCESS, facts["victim"], 19),
            lambda: os.sched_setaffinity(os.getppid(), {0}),
            lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
            lambda: syscall(251 if os.uname().machine == "x86_64" else 30, 1, facts["victim"], 0),
        )
        """,
        ["held"],
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_processes_gains_nothing(attacked: Callable[..., Outcome], name: str) -> None:
    outcome = attacked(ATTACKS, name)
    assert (outcome.fault or outcome.value) in ATTACKS[name][1], outcome


@pytest.mark.parametrize("name", ["start programs", "signal through a descriptor", "use multiprocessing"])
def test_the_attacks_get_through_where_nothing_stands_in_their_way(
    unheld: Callable[[str], tuple[Outcome, list[str]]], name: str
) -> None:
    assert unheld(ATTACKS[name][0])[0].value != "held"
