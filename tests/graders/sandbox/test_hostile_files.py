"""Attacks on files: nothing of the host is read, nothing anywhere is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from verifine.graders.sandbox import Call, CallFault, Outcome

Attack = tuple[str, Sequence[CallFault | str | float]]
Run = Callable[[Sequence[Call]], list[Outcome]]

ATTACKS: Mapping[str, Attack] = {
    "read a file that anybody may read": (
        "return held(lambda: open(facts['file']).read(), lambda: os.open(facts['file'], os.O_RDONLY))",
        ["held"],
    ),
    "read accounts and keys": (
        """
        return each_held(
            lambda path: open(path).read(),
            [
                "/etc/passwd",
                "/etc/shadow",
                "/etc/hostname",
                "/etc/ssl/openssl.cnf",
                facts["home"] + "/.ssh/id_rsa",
                facts["home"] + "/.bashrc",
                facts["home"] + "/.netrc",
            ],
        )
        """,
        ["held"],
    ),
    "read the service's own source": (
        """
        return (
            held(lambda: open(facts["source"]).read(), lambda: __import__("verifine").errors)
            if "site-packages" not in facts["source"]
            else "held"
        )
        """,
        ["held", CallFault.RAISED],
    ),
    "list folders": (
        """
        return (
            each_held(
                os.listdir,
                [
                    "/",
                    "/home",
                    "/root",
                    "/tmp",
                    "/etc",
                    "/proc",
                    "/sys",
                    "/dev",
                    "/var",
                    "/usr",
                    "/run",
                    "/mnt",
                    ".",
                    "..",
                    facts["folder"],
                    facts["home"],
                    os.path.dirname(facts["source"]),
                ],
            )
            if "site-packages" not in facts["source"]
            else "held"
        )
        """,
        ["held"],
    ),
    "write files": (
        """
        folders = [
            "/",
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            "/dev",
            "/run",
            ".",
            facts["folder"],
            facts["home"],
            *sys.path[1:],
        ]
        return each_held(lambda folder: open(folder + "/planted", "w"), folders)
        """,
        ["held"],
    ),
    "write nameless files": (
        """
        folders = ["/", "/tmp", "/var/tmp", "/dev/shm", facts["folder"], facts["home"]]
        return each_held(lambda folder: os.open(folder, os.O_TMPFILE | os.O_RDWR), folders)
        """,
        ["held"],
    ),
    "use the tempfile module": (
        """
        import tempfile

        return held(tempfile.TemporaryFile, tempfile.mkdtemp, tempfile.NamedTemporaryFile)
        """,
        ["held"],
    ),
    "change a file": (
        """
        file = facts["file"]
        return held(
            lambda: open(file, "a"),
            lambda: open(file, "r+"),
            lambda: os.truncate(file, 0),
            lambda: os.open(file, os.O_WRONLY),
            lambda: os.open(file, os.O_RDONLY | os.O_TRUNC),
        )
        """,
        ["held"],
    ),
    "change what a file is": (
        """
        file = facts["file"]
        return held(
            lambda: os.chmod(file, 0),
            lambda: os.chown(file, 0, 0),
            lambda: os.utime(file, (0, 0)),
            lambda: os.setxattr(file, "user.x", b"x"),
            lambda: os.lchown(file, -1, -1),
        )
        """,
        ["held"],
    ),
    "rearrange files": (
        """
        file, new = facts["file"], facts["folder"] + "/new"
        return held(
            lambda: os.unlink(file),
            lambda: os.rename(file, new),
            lambda: os.link(file, new),
            lambda: os.symlink(file, new),
            lambda: os.mkdir(new),
            lambda: os.mkfifo(new),
            lambda: os.mknod(new),
            lambda: os.rmdir(facts["folder"]),
            lambda: os.replace(file, new),
            lambda: os.mkdir("here"),
            lambda: os.symlink("/", "here"),
        )
        """,
        ["held"],
    ),
    "change Python": (
        """
        import json

        folder = os.path.dirname(json.__file__)
        return held(
            lambda: open(json.__file__, "a"),
            lambda: open(folder + "/planted.py", "w"),
            lambda: os.chmod(json.__file__, 0o777),
            lambda: os.utime(json.__file__),
            lambda: os.mkdir(folder + "/__pycache__/x"),
            lambda: os.unlink(json.__file__),
        )
        """,
        ["held"],
    ),
    "map a file for writing": (
        """
        import json

        file = os.open(json.__file__, os.O_RDONLY)
        return held(
            lambda: mmap.mmap(file, 0, mmap.MAP_SHARED, mmap.PROT_WRITE),
            lambda: os.open(json.__file__, os.O_RDWR),
        )
        """,
        ["held"],
    ),
    "reach a file through a handle": (
        """
        here = os.open("/", os.O_PATH)
        name = facts["file"].lstrip("/")
        there = os.open(facts["file"], os.O_PATH) if os.path.exists(facts["file"]) else here
        return held(
            lambda: os.open(name, os.O_RDONLY, dir_fd=here),
            lambda: open(f"/proc/self/fd/{there}").read(),
            lambda: os.read(there, 9),
            lambda: os.fchdir(here),
            lambda: os.fchmod(there, 0),
            lambda: syscall(304, there, 0, 0),
        )
        """,
        ["held"],
    ),
    "leave the root directory": (
        """
        return held(
            lambda: os.chroot("/"),
            lambda: os.chdir("/tmp"),
            lambda: open("/../../../../" + facts["file"]).read(),
            lambda: called(libc.mount(b"none", b"/", b"tmpfs", 0, None)),
            lambda: called(libc.umount2(b"/", 2)),
            lambda: called(libc.pivot_root(b"/", b"/")),
            lambda: open("/proc/1/root" + facts["file"]).read(),
            lambda: open("/proc/self/cwd/../../" + facts["file"]).read(),
        )
        """,
        ["held"],
    ),
    "scan the processes": (
        """
        others = [
            number
            for number in (*range(1, 400), os.getppid(), facts["victim"], facts["service"])
            if number != os.getpid()
        ]
        names = [
            f"/proc/{number}/{name}"
            for number in others
            for name in ("environ", "maps", "mem", "fd/0", "fd/3", "fd/4")
        ]
        names += [
            f"/proc/{number}/{name}"
            for number in ("self", "thread-self", *others)
            for name in ("environ", "cmdline", "status")
        ]
        return each_held(lambda name: open(name, "rb").read(64), names)
        """,
        ["held"],
    ),
    "open devices": (
        """
        names = [
            "/dev/mem",
            "/dev/kmsg",
            "/dev/tty",
            "/dev/ptmx",
            "/dev/vda",
            "/dev/sda",
            "/dev/nvme0n1",
            "/dev/kvm",
            "/dev/fuse",
            "/dev/loop0",
            "/dev/net/tun",
            "/dev/nvidia0",
            "/dev/console",
            "/proc/kcore",
            "/proc/sysrq-trigger",
            "/sys/kernel",
        ]
        return each_held(lambda name: os.open(name, os.O_RDONLY), names)
        """,
        ["held"],
    ),
    "fill the disk": (
        """
        def fill(folder):
            with open(folder + "/full", "wb") as file:
                for _ in range(320):
                    file.write(bytes(1 << 20))

        return each_held(fill, ["/tmp", "/var/tmp", "/dev/shm", ".", "/", facts["folder"]])
        """,
        ["held"],
    ),
    "fill hidden memory": (
        "return held(lambda: os.memfd_create('x'), lambda: syscall(447, 0), lambda: syscall(29, 0, 1 << 30, 0o1600))",
        ["held"],
    ),
    "watch files": (
        "return held(lambda: called(libc.inotify_init1(0)), lambda: called(libc.fanotify_init(0, 0)))",
        ["held"],
    ),
    "lock files of others": (
        """
        import fcntl, json

        file = open(json.__file__)
        return held(
            lambda: fcntl.flock(file, fcntl.LOCK_SH),
            lambda: fcntl.lockf(file, fcntl.LOCK_SH),
            lambda: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK),
            lambda: fcntl.fcntl(file, fcntl.F_NOTIFY, 2),
        )
        """,
        ["held"],
    ),
    "find the environment": (
        """
        known = {"LANG", "TZ", "PYTHONHASHSEED", "MALLOC_ARENA_MAX"}
        raw = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
        texts = [raw[n] for n in range(len(os.environ))] if raw else []
        found = [n for n in os.environ if n not in known and not n.endswith("_NUM_THREADS")]
        return "held" if not found and facts["half_secret"].encode() not in b"".join(texts) else found
        """,
        ["held"],
    ),
    "import what lies in the working directory": (
        "return each_held(lambda path: os.stat(path + '/pyproject.toml'), [*sys.path, '.'])",
        ["held"],
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_files_gains_nothing(attacked: Callable[..., Outcome], name: str) -> None:
    outcome = attacked(ATTACKS, name)
    assert (outcome.fault or outcome.value) in ATTACKS[name][1], outcome


PLANT = """
import os
def plant():
    done = []
    for folder in ("/", "/tmp", "/var/tmp", "/dev/shm", ".", "/run", "/dev", "/proc"):
        try:
            open(folder + "/left-behind", "w").write("x")
            done.append(folder)
        except OSError:
            pass
    return done
"""


def test_nothing_is_left_for_the_next_call(run: Run) -> None:
    assert [outcome.value for outcome in run([Call(source=PLANT, function="plant")] * 8)] == [[]] * 8


@pytest.mark.parametrize("name", ["change what a file is", "rearrange files"])
def test_the_attacks_change_files_where_nothing_stands_in_their_way(
    unheld: Callable[[str], tuple[Outcome, list[str]]], name: str
) -> None:
    outcome, touched = unheld(ATTACKS[name][0])
    assert outcome.value != "held"
    assert touched != []


@pytest.mark.parametrize(
    "name",
    [
        "read a file that anybody may read",
        "list folders",
        "scan the processes",
        "reach a file through a handle",
        "fill hidden memory",
        "lock files of others",
    ],
)
def test_the_attacks_see_files_where_nothing_stands_in_their_way(
    unheld: Callable[[str], tuple[Outcome, list[str]]], name: str
) -> None:
    assert unheld(ATTACKS[name][0])[0].value != "held"
