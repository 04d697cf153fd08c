"""The public face: order, limits, messages, what happens when a worker dies, and that nothing is left behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import psutil
import pytest

from verifine.errors import GraderError, SandboxUnavailableError
from verifine.graders.sandbox import Call, CallFault, Level, Limits, Outcome, Sandbox, find_level
from verifine.types import Json

LEVELS = [level for level in (find_level().level, Level.UNSAFE) if level is not None]
ECHO = "def echo(*values): return list(values)"


@pytest.fixture(scope="module", params=LEVELS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with closing(Sandbox(level=request.param, workers=2)) as made:
        yield made


def call(body: str, *arguments: Json, limits: Limits | None = None) -> Call:
    source = "def work(*values):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return Call(source=source, function="work", arguments=arguments, limits=limits)


def one(sandbox: Sandbox, body: str, *arguments: Json, limits: Limits | None = None) -> Outcome:
    (outcome,) = sandbox.run([call(body, *arguments, limits=limits)])
    return outcome


def wait_until(holds: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def descendants(pid: int | None = None) -> set[psutil.Process]:
    return set(psutil.Process(pid).children(recursive=True))


def kill(processes: set[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


HELD_TO_ONE_CORE = """
import os
from contextlib import closing
import psutil
from verifine.graders.sandbox import Call, Level, Sandbox

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
nap = Call(source="import time\\ndef nap(): time.sleep(0.3)", function="nap")
for workers in (None, 3):
    with closing(Sandbox(level=Level.UNSAFE, workers=workers)) as sandbox:
        sandbox.run([nap] * 3)
        print(len(psutil.Process().children()))
"""


@pytest.mark.slow
def test_there_are_as_many_workers_as_cores_for_them_unless_a_number_is_given() -> None:
    ended = subprocess.run([sys.executable, "-c", HELD_TO_ONE_CORE], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["1", "3"]


def test_outcomes_are_in_the_order_of_the_calls(sandbox: Sandbox) -> None:
    calls = [call("import time\ntime.sleep(values[0] % 3 / 50)\nreturn values[0]", number) for number in range(20)]
    assert [outcome.value for outcome in sandbox.run(calls)] == list(range(20))


def test_no_calls_have_no_outcomes(sandbox: Sandbox) -> None:
    assert sandbox.run([]) == []


def test_several_threads_may_use_it_at_once(sandbox: Sandbox) -> None:
    def use(first: int) -> list[Json]:
        return [outcome.value for outcome in sandbox.run([call("return values[0]", first + n) for n in range(10)])]

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(use, range(0, 60, 10))) == [
            list(range(first, first + 10)) for first in range(0, 60, 10)
        ]


def test_calls_run_beside_each_other(sandbox: Sandbox) -> None:
    def do_overlap(seconds: float) -> bool:
        """Whether two calls that tell when they were at work were so at the same time."""
        body = f"import time\nstart = time.time()\ntime.sleep({seconds})\nreturn f'{{start}} {{time.time()}}'"
        outcomes = sandbox.run([call(body, limits=Limits(wall_s=60))] * 2)
        spans = [str(outcome.value).split() for outcome in outcomes]
        return max(float(start) for start, _ in spans) < min(float(end) for _, end in spans)

    # A busy machine may start the second only when the first is over; then both get longer.
    assert any(do_overlap(seconds) for seconds in (0.1, 1, 10))


def test_arguments_and_values_are_json(sandbox: Sandbox) -> None:
    values: list[Json] = [None, True, 0, -1.5, "é\ud83d", [], {"a": [{"b": None}]}, 2**70]
    sent = [each for each in values if each != "é\ud83d"]
    (outcome,) = sandbox.run([Call(source=ECHO, function="echo", arguments=tuple(sent))])
    assert outcome.value == sent
    assert one(sandbox, "return [len(values[0]), ascii(values[0])]", "é\ud83d").value == [2, "'\\xe9\\ud83d'"]


def test_what_is_printed_comes_beside_the_value(sandbox: Sandbox) -> None:
    outcome = one(sandbox, "import os, sys\nprint('a')\nos.write(1, b'b')\nsys.stderr.write('c')\nreturn 1")
    assert outcome.value == 1
    assert sorted(outcome.stdout) == ["\n", "a", "b"]


@pytest.mark.parametrize(
    ("body", "fault", "message"),
    [
        ("return values[0]['x']", CallFault.RAISED, "line 2: KeyError: 'x'"),
        ("y = 1\nreturn y / 0", CallFault.RAISED, "line 3: ZeroDivisionError: division by zero"),
        ("def inner():\n    raise ValueError('deep')\ninner()", CallFault.RAISED, "line 3: ValueError: deep"),
        ("import sys\nsys.exit(3)", CallFault.RAISED, "line 3: SystemExit: 3"),
        ("raise KeyboardInterrupt", CallFault.RAISED, "line 2: KeyboardInterrupt"),
        (
            "def down(n): return down(n)\ndown(0)",
            CallFault.RAISED,
            "line 2: RecursionError: maximum recursion depth exceeded",
        ),
        ("return float('nan')", CallFault.ANSWER, "it returned nan, which is not finite"),
        ("return float('-inf')", CallFault.ANSWER, "it returned -inf, which is not finite"),
        (
            "from decimal import Decimal\nreturn Decimal(1)",
            CallFault.ANSWER,
            "it returned Decimal, which is not JSON; return a number, text or a list",
        ),
        ("return {1: 2}", CallFault.ANSWER, "it returned a dict with a key of int; the keys of JSON are text"),
        ("return 'x' * 70_000", CallFault.ANSWER, "it returned more than 65536 bytes of JSON"),
        ("print('x' * 70_000)", CallFault.ANSWER, "it printed more than 65536 bytes"),
        ("return bytearray(10 ** 12)", CallFault.MEMORY, "MemoryError: it wanted more memory than it may have"),
        ("import os\nos._exit(3)", CallFault.ENDED, "its process ended by itself (exit code 3)"),
        ("import ctypes\nctypes.string_at(0)", CallFault.ENDED, "its process ended by itself (signal SIGSEGV)"),
        ("import os\nos.abort()", CallFault.ENDED, "its process ended by itself (signal SIGABRT)"),
    ],
)
def test_a_fault_says_what_is_wrong_and_where(sandbox: Sandbox, body: str, fault: CallFault, message: str) -> None:
    outcome = one(sandbox, body, {"a": 1})
    assert (outcome.value, outcome.fault) == (None, fault)
    assert outcome.message.startswith(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def work(:", "line 1: SyntaxError: invalid syntax"),
        ("import nowhere_at_all", "line 1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("x = 1\nraise ValueError('at load')", "line 2: ValueError: at load"),
        ("def other(): pass", "no function `work` is defined; add `def work(...): ...`"),
        ("work = 3", "no function `work` is defined; add `def work(...): ...`"),
        ("def work(only): pass", "`work(only)` cannot be called with 2 arguments"),
        ("class work:\n    def __init__(self): pass", "`work()` cannot be called with 2 arguments"),
    ],
)
def test_a_source_that_cannot_be_used_is_a_fault_of_its_own(sandbox: Sandbox, source: str, message: str) -> None:
    (outcome,) = sandbox.run([Call(source=source, function="work", arguments=(1, 2))])
    assert (outcome.fault, outcome.message) == (CallFault.SOURCE, message)


def test_a_type_error_inside_the_function_is_its_own(sandbox: Sandbox) -> None:
    assert one(sandbox, "return len(3)").message == "line 2: TypeError: object of type 'int' has no len()"


@pytest.mark.parametrize(
    ("source", "stdout", "fault", "message"),
    [
        ("print(1); raise SystemExit", "1\n", None, ""),
        ("print(1); raise SystemExit(0)", "1\n", None, ""),
        ("print(1); raise SystemExit(2)", "1\n", CallFault.RAISED, "line 1: SystemExit: 2"),
        ("print(1); raise SystemExit('bad')", "1\n", CallFault.RAISED, "line 1: SystemExit: bad"),
        ("print(1)\n1 / 0", "1\n", CallFault.RAISED, "line 2: ZeroDivisionError: division by zero"),
        ("print(1\n", "", CallFault.SOURCE, "line 1: SyntaxError: '(' was never closed"),
        (
            "import os; print(1, flush=True); os._exit(0)",
            "1\n",
            CallFault.ENDED,
            "its process ended by itself (exit code 0)",
        ),
        ("input()", "", CallFault.RAISED, "line 1: EOFError: EOF when reading a line"),
    ],
)
def test_the_end_of_a_program(
    sandbox: Sandbox, source: str, stdout: str, fault: CallFault | None, message: str
) -> None:
    (outcome,) = sandbox.run([Call(source=source)])
    assert (outcome.value, outcome.stdout, outcome.fault, outcome.message) == (None, stdout, fault, message)


@pytest.mark.slow
def test_each_limit_is_the_calls_own(sandbox: Sandbox) -> None:
    bodies = {
        "import time\ntime.sleep(9)": (Limits(wall_s=0.2), CallFault.TIMEOUT, "timed out after 0.2 s"),
        "while True: pass": (Limits(cpu_s=1, wall_s=30), CallFault.TIMEOUT, "timed out after 1 s of computing"),
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass": (
            Limits(cpu_s=1, wall_s=30),
            CallFault.TIMEOUT,
            "timed out after 1 s of computing",
        ),
        "return len(bytes(50_000_000))": (Limits(memory_bytes=20_000_000), CallFault.MEMORY, "MemoryError"),
        "return 'x' * 100": (Limits(answer_bytes=99), CallFault.ANSWER, "it returned more than 99 bytes of JSON"),
        "print('x' * 100)": (Limits(output_bytes=99), CallFault.ANSWER, "it printed more than 99 bytes"),
        "import os\nreturn [os.pipe() for _ in range(9)]": (
            Limits(open_files=16),
            CallFault.RAISED,
            "line 3: OSError: [Errno 24]",
        ),
    }
    outcomes = sandbox.run([call(body, limits=limits) for body, (limits, _, _) in bodies.items()])
    for outcome, (_, fault, message) in zip(outcomes, bodies.values(), strict=True):
        assert outcome.fault is fault
        assert outcome.message.startswith(message)
    fine = sandbox.run([call("return len(bytes(50_000_000))"), call("return 'x' * 100"), call("print('x' * 100)")])
    assert [outcome.fault for outcome in fine] == [None] * 3


def test_files_are_limited_where_they_can_be_written() -> None:
    body = (
        "import tempfile\n"
        "with tempfile.TemporaryFile(buffering=0) as file: return [file.write(bytes(n)) for n in (500, 900)]"
    )
    with closing(Sandbox(level=Level.UNSAFE, workers=1)) as sandbox:
        assert one(sandbox, body, limits=Limits(file_bytes=1000)).value == [500, 500]


def test_every_worker_has_the_same_order_of_sets() -> None:
    body = "import os\nreturn [hash('a'), list({'alpha', 'beta', 'gamma'})]"
    seen = []
    for _ in range(2):
        with closing(Sandbox(level=Level.UNSAFE, workers=1)) as sandbox:
            seen.append(one(sandbox, body).value)
    assert seen[0] == seen[1]


def test_what_is_preloaded_is_there() -> None:
    body = "import sys\nreturn 'fractions' in sys.modules and sys.modules['fractions'].Fraction(1, 2)"
    with closing(Sandbox(level=LEVELS[0], workers=1, preload=("fractions",))) as sandbox:
        assert one(sandbox, body).value == 0.5


@pytest.mark.parametrize("level", LEVELS)
def test_what_cannot_be_preloaded_is_named(level: Level) -> None:
    before = descendants()
    with pytest.raises(
        GraderError, match="cannot import what it is to preload: ModuleNotFoundError: No module named 'nowhere_at_all'"
    ):
        Sandbox(level=level, preload=("nowhere_at_all",))
    assert descendants() == before


def test_a_worker_that_dies_is_replaced_and_its_call_run_again(sandbox: Sandbox) -> None:
    assert one(sandbox, "return 1").value == 1
    kill(descendants())
    assert [outcome.value for outcome in sandbox.run([call("return 1")] * 6)] == [1] * 6


def test_a_worker_that_dies_at_work_is_replaced_and_its_call_run_again(sandbox: Sandbox) -> None:
    before = descendants()
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(one, sandbox, "import time\ntime.sleep(0.5)\nreturn 'done'")
        assert wait_until(lambda: descendants() - before != set())
        kill(set(psutil.Process().children()))  # not the call's process before its worker, who would tell of it
        assert future.result().value == "done"


def test_a_call_that_ends_its_worker_twice_is_the_sandboxs_fault() -> None:
    with closing(Sandbox(level=Level.UNSAFE, workers=1)) as sandbox:
        outcome = one(sandbox, "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(5)")
        assert outcome.fault is CallFault.SANDBOX
        assert outcome.message.startswith("the sandbox failed twice: ")
        assert one(sandbox, "return 1").value == 1


@pytest.mark.parametrize("level", LEVELS)
def test_close_leaves_no_process_and_may_be_repeated(level: Level) -> None:
    before = descendants()
    sandbox = Sandbox(level=level, workers=2)
    sandbox.run([call("return 1")] * 4)
    assert descendants() - before != set()
    sandbox.close()
    sandbox.close()
    assert descendants() == before
    with pytest.raises(GraderError, match="the sandbox is closed"):
        sandbox.run([])


def test_a_sandbox_that_is_forgotten_ends_its_processes() -> None:
    before = descendants()
    sandbox = Sandbox(level=LEVELS[0], workers=1)
    assert descendants() - before != set()
    del sandbox
    gc.collect()
    assert wait_until(lambda: descendants() == before)


@pytest.mark.parametrize("level", LEVELS)
def test_a_call_leaves_no_process(level: Level) -> None:
    with closing(Sandbox(level=level, workers=1)) as sandbox:
        before = descendants()
        thread = "threading.Thread(target=time.sleep, args=(60,)).start()"
        body = f"import threading, time\nfor _ in range(9): {thread}\nreturn 1"
        assert one(sandbox, body).value == 1
        assert one(sandbox, "import time\ntime.sleep(60)", limits=Limits(wall_s=0.2)).fault is CallFault.TIMEOUT
        assert descendants() == before


def test_a_process_left_behind_does_not_delay_the_answer() -> None:
    body = "import os, time\nif not os.fork():\n    time.sleep(60)\n    os._exit(0)\nreturn 1"
    with closing(Sandbox(level=Level.UNSAFE, workers=1)) as sandbox:
        before = descendants()
        assert one(sandbox, body).value == 1
        assert wait_until(lambda: descendants() == before)


ORPHANS = """
import sys, threading, time
from verifine.graders.sandbox import Call, Level, Sandbox
if __name__ == "__main__":
    sandbox = Sandbox(level=Level(sys.argv[1]), workers=1)
    threading.Thread(target=sandbox.run, args=([Call(source="import time; time.sleep(60)")],), daemon=True).start()
    {further}
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("further", ["pass", "import os; os.fork() or time.sleep(60)"], ids=["alone", "forked"])
def test_a_killed_parent_leaves_no_orphan(level: Level, further: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", ORPHANS.format(further=further), level]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        auxiliary = {process for process in psutil.Process(parent.pid).children() if "ready" in process.cmdline()[-2]}
        assert wait_until(lambda: len(descendants(parent.pid) - auxiliary) >= 2)  # the zygote, and the call's process
        workers = descendants(parent.pid) - auxiliary
        parent.kill()
        try:
            assert wait_until(lambda: not any(_is_alive(process) for process in workers))
        finally:
            kill(auxiliary)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_unsafe_is_never_chosen() -> None:
    report = find_level()
    assert report.level is not Level.UNSAFE
    if report.level is None:
        assert report.missing != ()
        with pytest.raises(SandboxUnavailableError, match="^sandbox_unavailable: "):
            Sandbox()


def test_the_level_is_the_one_asked_for(sandbox: Sandbox) -> None:
    assert sandbox.level in LEVELS
    assert one(sandbox, "import os\nreturn os.getuid() == 0").value == (
        sandbox.level is Level.UNSAFE and os.geteuid() == 0
    )


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_terminal_sends_to_its_programs_does_not_reach_a_worker(level: Level) -> None:
    before = descendants()
    with closing(Sandbox(level=level, workers=1)):
        assert os.getpgrp() not in {os.getpgid(process.pid) for process in descendants() - before}
