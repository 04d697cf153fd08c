"""Attacks by somebody who had read the source: what they aimed at holds, and what once did not stands in `HOLES`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from textwrap import dedent, indent

import pytest

import verifine
from verifine.config.graders import CodeGraderConfig
from verifine.errors import GraderError
from verifine.graders.code import CodeGrader
from verifine.graders.sandbox import Call, CallFault, Limits, Outcome, Sandbox
from verifine.graders.sandbox.policy import UNTRUSTED
from verifine.graders.sandbox.syscalls import find_machine
from verifine.graders.services import Services
from verifine.types import Json, Sample

Run = Callable[[Sequence[Call]], list[Outcome]]
Hole = tuple[Sequence[Call], Callable[[Sequence[Outcome]], bool]]
"""Calls that run beside each other, and whether what came of them is what should."""

MACHINE = find_machine()
ALLOWED = [MACHINE.numbers[name] for name in UNTRUSTED if name in MACHINE.numbers] if MACHINE else []
PROBES = [335, 336]
"""uretprobe and uprobe, which the kernel asks no filter about; who calls them without a probe gets SIGILL."""


IN_VAIN: Mapping[str, str] = {
    "every other system call": f"""
        reached = []
        for number in set(range(600)) - set({ALLOWED + PROBES}):
            result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
            if result != -1 or ctypes.get_errno() not in (1, 38): reached.append(number)
        return 'held' if {bool(ALLOWED)} and not reached else reached""",
    "arguments whose upper half hides the lower": """
        if os.uname().machine != 'x86_64': return 'held'
        end, high, victim = os.pipe()[0], 1 << 32, facts['victim']
        tries = [(72, end, high | 8, victim), (16, end, high | 0x8901, 0), (157, high | 4, 1, 0, 0, 0),
                 (53, high | 2, 1, 0), (56, high | 17, 0, 0, 0), (234, high | victim, victim, 9),
                 (302, high | victim, 7, 0, 0)]
        return each_held(lambda one: syscall(*one), tries)""",
    "system calls by machine code of its own": """
        if os.uname().machine != 'x86_64': return 'held'
        page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        found = set()
        for number in (41, 57, 59, 62, 101, 272, 425):
            page[:8] = b'\\xb8' + struct.pack('<I', number) + b'\\x0f\\x05\\xc3'
            found.add(ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * 3)(address)(2, 1, 0))
        return 'held' if found == {-1} else list(found)""",
    "options of the process": """
        options = [option for option in range(1, 90) if option not in (15, 16)] + [0x59616D61, 0x41555856]
        one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
        return each_held(lambda option: called(libc.prctl(option, one, zero, zero, zero)), options)""",
    "commands to terminals, networks and disks": """
        import fcntl
        commands = [0x5402, 0x5403, 0x540E, 0x5410, 0x5412, 0x541D, 0x5452, 0x8901, 0x8902, 0x8912, 0x8927, 0x660B,
                    0x40086602, 0xB701, 0xC0481273, 0x4004743C, 0x5423, 0x5460]
        return each_held(lambda command: fcntl.ioctl(1, command, 0), commands)""",
    "descriptors of anybody else": "return each_held(os.fstat, range(4, 1100))",
    "its own process as files": """
        whose = [f'/proc/{who}/' for who in ('self', 'thread-self', os.getpid())]
        names = ('mem', 'maps', 'environ', 'status', 'task', 'fd/99', 'cwd', 'root')
        return each_held(lambda name: os.open(name, os.O_RDONLY), [who + name for who in whose for name in names])""",
    "the links of other processes": """
        others = {1, os.getppid(), facts['victim'], facts['service']} - {os.getpid()}
        names = ('exe', 'cwd', 'root', 'fd/0', 'fd/3', 'ns/net')
        return each_held(os.readlink, [f'/proc/{number}/{name}' for number in others for name in names])""",
    "files below the folders of other processes": """
        others = {1, os.getppid(), facts['victim'], facts['service']} - {os.getpid()}
        names = ('root/etc', 'cwd/.', 'root' + facts['file'])
        return each_held(os.stat, [f'/proc/{number}/{name}' for number in others for name in names])""",
    "a folder as a way up": """
        def climb(way):
            return os.read(os.open(way[1], os.O_RDONLY, dir_fd=os.open(way[0], os.O_PATH)), 9)
        starts = ['/', '/usr/lib', '/proc', '/proc/self/root', '/proc/self/cwd', '/tmp', '/dev']
        ways = ('..', '../..' + facts['file'], 'etc/passwd', '../etc/passwd', '.')
        return each_held(climb, [(start, way) for start in starts for way in ways])""",
    "writing to code that others run": """
        import json
        libc.mmap.restype = ctypes.c_void_p
        at = libc.mmap(None, 4096, 1, 1, os.open(json.__file__, os.O_RDONLY), ctypes.c_long(0))
        return held(lambda: called(libc.mprotect(ctypes.c_void_p(at), 4096, 3)))""",
    "hooks that outlive it": """
        import gc
        os.register_at_fork(after_in_child=lambda: os._exit(9), before=lambda: os._exit(9))
        gc.callbacks.append(lambda *_: os._exit(9))
        sys.addaudithook(lambda *_: os._exit(9) if _[0] == 'compile' else None)
        sys.setswitchinterval(1e-6)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        os.write(3, b'value "held"\\n')
        os._exit(0)""",
}
"""Bodies of `attack(facts)` that try something, and say `held` if it could not be done."""

ENDLESS: Mapping[str, str] = {
    "stop itself": "signal.raise_signal(signal.SIGSTOP)",
    "hear nothing": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
    "answer drop by drop": "while True: os.write(3, b' '); time.sleep(0.01)",
    "answer all but the end": "os.write(3, b'value 1.0')\ntime.sleep(60)",
    "hold the answer open elsewhere": "os.dup2(3, 9)\nos.write(9, b'value 1.0')\nos.close(3)\ntime.sleep(60)",
}
SAYINGS: Mapping[str, str] = {
    "say two lines": r"b'value 1.0\nvalue 1.0\n'",
    "say a length of 4 GiB": r"b'\xff\xff\xff\xff{}\n'",
    "say a byte order mark": r"b'value \xef\xbb\xbf1.0\n'",
    "say quotes without an end": r"""b'value ' + b'[' * 101 + b'"\\' * 20_000 + b'\n'""",
}
CRASHES: Mapping[str, str] = {
    "change its own way out": """
        at = ctypes.cast(libc._exit, ctypes.c_void_p).value
        libc.mprotect(ctypes.c_void_p(at & ~4095), 8192, 7)
        ctypes.memset(at, 0xCC, 64)
        os._exit(0)""",
    "make a number another": "ctypes.c_int.from_address(id(200) + 24).value = 7\nos._exit(0)",
}

ATTACKS: Mapping[str, tuple[str, Sequence[CallFault | str]]] = {
    **{name: (body, ["held"]) for name, body in IN_VAIN.items()},
    **{name: (body, [CallFault.TIMEOUT]) for name, body in ENDLESS.items()},
    **{name: (f"os.write(3, {answer})\nos._exit(0)", [CallFault.ANSWER]) for name, answer in SAYINGS.items()},
    **{name: (body, [CallFault.ENDED]) for name, body in CRASHES.items()},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_further_attack_gains_nothing(attacked: Callable[..., Outcome], name: str) -> None:
    outcome = attacked(ATTACKS, name)
    assert (outcome.fault or outcome.value) in ATTACKS[name][1], outcome


def test_after_all_of_this_honest_work_is_done_as_before(attacked: Callable[..., Outcome], run: Run) -> None:
    attacked(ATTACKS, "hooks that outlive it")
    for outcome in run([call("time.sleep(0.05)\nreturn [1 + 1, 200 + 1, len(str(10 ** 20))]")] * 12):
        assert (outcome.value, outcome.fault, outcome.stdout) == ([2, 201, 21], None, "")


def test_a_full_sandbox_shows_no_names_of_this_machine(run: Run, holding: object) -> None:
    if not str(holding).startswith("full"):
        pytest.skip("without namespaces, names can be looked up")
    names: list[Json] = ["/etc/passwd", "/etc/hostname", "/sys/kernel", "/dev/shm", "/dev/pts", "/boot", "/bin/sh"]
    (outcome,) = run([call("return [[name for name in names if os.path.lexists(name)], os.uname().nodename]", names)])
    assert outcome.value == [[], "sandbox"]


def call(body: str, *arguments: Json, memory_bytes: int = 512 << 20) -> Call:
    """A function with that body; its only argument is `names`."""
    head = "import ctypes, fcntl, os, threading, time\nlibc = ctypes.CDLL(None)\ndef work(names=None):\n"
    limits = Limits(memory_bytes=memory_bytes)
    return Call(source=head + indent(dedent(body).strip(), "    "), function="work", arguments=arguments, limits=limits)


SHARED_MEMORY = """
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
size, page, kept, found = ctypes.c_size_t(16 << 20), 4096, [], 0
for _ in range(8):
    at = libc.mmap(None, size, 3, 0x21, -1, ctypes.c_long(0))
    if at in (None, (1 << 64) - 1): return 0
    ctypes.memset(at, 7, size.value)
    libc.munmap(ctypes.c_void_p(at + page), ctypes.c_size_t(size.value - page))
    kept.append(at)
for at in kept:
    at = libc.mremap(ctypes.c_void_p(at), ctypes.c_size_t(page), size, 1)
    found += size.value * (ctypes.string_at(at + size.value - 1, 1) == bytes([7]))
    libc.munmap(ctypes.c_void_p(at), size)
return found
"""
"""Fills shared mappings and lets go of their addresses, which are what is counted, but not of what is in them."""

MANY_THREADS = """
threading.stack_size(1 << 15)
started, leave = 0, threading.Event()
try:
    while started < 4000:
        threading.Thread(target=leave.wait, daemon=True).start()
        started += 1
except (RuntimeError, MemoryError):
    pass
time.sleep({seconds})
os.write(3, b'value %d\\n' % started)
os._exit(0)
"""
FEW_THREADS = """
until = time.monotonic() + 1
while time.monotonic() < until:
    threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(16)]
    for each in threads: each.start()
    for each in threads: each.join()
return 1
"""

LOOK_AT_OTHERS = """
other = os.getppid()
return [libc.clock_gettime(ctypes.c_int((~other << 3) | 2), ctypes.create_string_buffer(16)), libc.getpgid(other)]
"""
FLAGS = "before = fcntl.fcntl(2, 3)  # F_GETFL, and F_SETFL\nfcntl.fcntl(2, 4, before ^ os.O_APPEND)\nreturn before"
TWICE = 'os.write(3, b\'value {"%s": 1, "%s": 2}\\n\')\nos._exit(0)'


def is_clean(outcomes: Sequence[Outcome]) -> bool:
    """Whether each is a fault with a message in one line, which any terminal and any file can take."""
    return all(outcome.fault and outcome.message and outcome.message.isprintable() for outcome in outcomes)


HOLES: Mapping[str, Hole] = {
    "memory beyond the limit, in shared mappings": (
        [call(SHARED_MEMORY, memory_bytes=32 << 20)],
        lambda outcomes: outcomes[0].fault is not None or outcomes[0].value == 0,
    ),
    "threads without end": (
        [call(MANY_THREADS.format(seconds=0))],
        lambda outcomes: outcomes[0].fault is not None or outcomes[0].value != 4000,
    ),
    "threads that others then lack": (
        [call(MANY_THREADS.format(seconds=1)), call(FEW_THREADS)],
        lambda outcomes: outcomes[1].value == 1,
    ),
    "a note for the next call on standard error": (
        [call(FLAGS)] * 8,
        lambda outcomes: all(outcome.value == outcomes[0].value for outcome in outcomes),
    ),
    "looking at other processes": (
        [call(LOOK_AT_OTHERS)],
        lambda outcomes: outcomes[0].value == [-1, -1],
    ),
    "a message that is no line of text": (
        [
            call("raise ValueError('\\x1b]0;x\\x07\\x1b[31m\\u202e\\r one line\\nand another')"),
            call("os.write(3, b'raised \"\\\\u001b[2J!\"\\n')\nos._exit(0)"),
            call(TWICE.replace("%s", "\\\\u001b[2J")),
            call(TWICE.replace("%s", "\\\\ud800")),
        ],
        is_clean,
    ),
    "an exception with half a character": (
        [call("raise ValueError('\\ud800')")],
        lambda outcomes: outcomes[0].fault is CallFault.RAISED and is_clean(outcomes),
    ),
    "a program that has a value": (
        [Call(source="import os\nos.write(3, b'value 1.0\\n')\nos._exit(0)")],
        lambda outcomes: outcomes[0].value is None,
    ),
}


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_shut(run: Run, holding: object, name: str) -> None:
    if (name, str(holding)) == ("threads that others then lack", "kernel-none-ordinary"):
        pytest.skip("without namespaces all workers are one user, whose tasks the kernel counts together")
    calls, is_shut = HOLES[name]
    outcomes = run(calls)
    assert is_shut(outcomes), outcomes


GUESSES_BY_LENGTH = """```python
import sys
def guess(*_):
    frame, sizes = sys._getframe(), []
    while frame:
        for each in [frame.f_locals, *frame.f_locals.values()]:
            if isinstance(each, dict): sizes += [size for size in each.values() if type(size) is int and size > 65536]
        frame = frame.f_back
    return len('false') not in [size % 65536 for size in sizes]
```"""


def test_a_program_cannot_know_how_long_the_expected_output_is() -> None:
    tests: Json = {"fn_name": "guess", "inputs": [[1], [2], [3], [4]], "outputs": [True, False, False, True]}
    with closing(CodeGrader(CodeGraderConfig(type="code"), Services())) as grader:
        (grade,) = grader.grade([Sample(output_text=GUESSES_BY_LENGTH, item={"test_cases": tests})])
    assert grade.score == 0.0


MIXED: Sequence[tuple[str, CallFault | None]] = (
    ("return names", None),
    ("ctypes.string_at(0)", CallFault.ENDED),
    ("os.closerange(0, 99)\nos._exit(0)", CallFault.ENDED),
    ("raise ValueError(names)", CallFault.RAISED),
    ("while True: os.write(1, bytes(9_000))", CallFault.ANSWER),
    ("while True: os.write(3, bytes(9_000))", CallFault.ANSWER),
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with closing(Sandbox(workers=4)) as made:
        yield made


def test_crashes_of_others_change_no_outcome_and_leave_no_descriptor(sandbox: Sandbox) -> None:
    calls = [call(body, number) for number in range(8) for body, _ in MIXED]
    sandbox.run(calls)
    before = len([*Path("/proc/self/fd").iterdir()])
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(sandbox.run, [calls] * 4))
    for outcomes in found:
        assert [outcome.fault for outcome in outcomes] == [fault for _ in range(8) for _, fault in MIXED]
        assert [outcome.value for outcome in outcomes[:: len(MIXED)]] == list(range(8))
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_sandbox_that_is_closed_meanwhile_says_so(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(sandbox.run, [call("time.sleep(0.3)")] * 12)
        time.sleep(0.1)
        sandbox.close()
        assert isinstance(running.exception(), GraderError | None)


def run_script(body: str) -> str:
    """What it prints in a Python of its own."""
    head = "import os, resource, signal\nfrom verifine.graders.sandbox import *\nfrom verifine.errors import *\n"
    head += "one = Call(source='import time\\ndef f():\\n time.sleep(0.1)\\n return 1', function='f')\n"
    path = [*Path(next(iter(verifine.__path__))).parents[:1], *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-B", "-c", head + dedent(body)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-600:]
    return done.stdout.strip()


def test_a_full_disk_is_no_surprise() -> None:
    body = """
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try: Sandbox(workers=1).close()
    except VerifineError: print("said so")
    except OSError as error: print("raised", error)
    else: print("worked")
    """
    assert run_script(body) in ("said so", "worked")


def test_a_fork_does_not_wait_for_ever() -> None:
    body = """
    made = Sandbox(workers=1)
    made.run([one])
    if not os.fork():
        signal.alarm(60)
        try: made.run([one])
        except VerifineError: pass
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), made.run([one])[0].value)
    made.close()
    """
    assert run_script(body) == "0 1"


def test_a_lack_of_descriptors_leaves_none_open() -> None:
    body = """
    def count(): return len(os.listdir("/proc/self/fd"))
    made = Sandbox(workers=1)
    made.run([one])
    before, (soft, hard) = count(), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 2, hard))
    made.run([one])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(made.run([one])[0].value, count() - before < 2)  # Popen of Python 3.11.2 leaves one
    made.close()
    """
    assert run_script(body) == "1 True"


TAKES_ALL = """
import threading, time
def f():
    threading.stack_size(1 << 15)
    until, leave = time.monotonic() + 1.5, threading.Event()
    while time.monotonic() < until:
        try: threading.Thread(target=leave.wait, daemon=True).start()
        except RuntimeError: time.sleep(0.002)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes a user of whom nothing else runs")
def test_a_call_that_takes_every_process_keeps_no_other_from_its_outcome() -> None:
    body = f"""
    resource.setrlimit(resource.RLIMIT_NPROC, (100, 100))
    os.setgroups([]), os.setgid(54321), os.setuid(54321)
    try: made = Sandbox(level=Level.KERNEL, workers=2)
    except (SandboxUnavailableError, PermissionError): os._exit(print("none", flush=True) or 0)
    greedy = Call(source={TAKES_ALL!r}, function="f")
    print(*{{outcome.fault for outcome in made.run([greedy, *[one] * 9])[1:]}})
    made.close()
    """
    found = run_script(body)
    if found == "none":
        pytest.skip("an ordinary user cannot have such a sandbox here")
    assert found == "None"
