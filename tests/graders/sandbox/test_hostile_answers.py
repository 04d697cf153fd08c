"""Attacks on the answer: whatever a process says, what arrives is plain JSON or a fault, for its own call only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from textwrap import dedent, indent

import pytest

from verifine.graders.sandbox import Call, CallFault, Limits, Outcome
from verifine.types import Json

Attack = tuple[str, Sequence[CallFault | str | float]]
Run = Callable[[Sequence[Call]], list[Outcome]]


def saying(answer: str) -> str:
    """Writes the bytes where the answer belongs, and ends the process."""
    return f"os.write(3, {answer})\nos._exit(0)"


ATTACKS: Mapping[str, Attack] = {
    "end the process": ("os._exit(0)", [CallFault.ENDED]),
    "end the process at once, as if all were well": ("sys.stdout.flush()\nos._exit(0)", [CallFault.ENDED]),
    "exit": ("sys.exit(0)", [CallFault.RAISED]),
    "exit with a number": ("raise SystemExit(1.0)", [CallFault.RAISED]),
    "crash": ("ctypes.string_at(0)", [CallFault.ENDED]),
    "abort": ("os.abort()", [CallFault.ENDED]),
    "kill itself": ("signal.raise_signal(signal.SIGKILL)", [CallFault.ENDED]),
    "interrupt": ("raise KeyboardInterrupt", [CallFault.RAISED]),
    "raise at the very base": ("raise BaseException('x')", [CallFault.RAISED]),
    "raise what cannot be shown": (
        """
        class Odd(Exception):
            def __str__(self):
                raise SystemExit(0)

            __repr__ = __str__

        raise Odd
        """,
        [CallFault.RAISED],
    ),
    "raise something enormous": ("raise ValueError('x' * 50_000_000)", [CallFault.RAISED]),
    "close the answer and go on": ("os.close(3)\ntime.sleep(60)", [CallFault.ENDED]),
    "close everything": ("os.closerange(0, 256)\nreturn 1.0", [CallFault.ENDED]),
    "answer NaN": ("return float('nan')", [CallFault.ANSWER]),
    "answer infinity": ("return [1, {'a': -float('inf')}]", [CallFault.ANSWER]),
    "answer a set": ("return {1}", [CallFault.ANSWER]),
    "answer bytes": ("return b'1.0'", [CallFault.ANSWER]),
    "answer a function": ("return lambda: 1.0", [CallFault.ANSWER]),
    "answer numbers as keys": ("return {1: 1}", [CallFault.ANSWER]),
    "answer something without a bottom": (
        """
        x = []
        x.append(x)
        return x
        """,
        [CallFault.ANSWER],
    ),
    "answer something very deep": (
        """
        x = []
        for _ in range(100_000):
            x = [x]
        return x
        """,
        [CallFault.ANSWER],
    ),
    "answer a great many digits": ("return 10 ** 5000", [CallFault.ANSWER]),
    "answer a fraction that is too large": (
        "from fractions import Fraction\nreturn Fraction(10 ** 400)",
        [CallFault.ANSWER],
    ),
    "answer half a character": ("return '\\ud800'", [CallFault.ANSWER]),
    "answer 200 MB": ("return 'x' * 200_000_000", [CallFault.ANSWER, CallFault.MEMORY]),
    "answer with a list that raises": (
        """
        class Odd(list):
            def __iter__(self):
                raise SystemExit(0)

        return Odd([1])
        """,
        [CallFault.ANSWER],
    ),
    "answer with a dict without an end": (
        """
        class Odd(dict):
            def items(self):
                while True:
                    yield "a", 1

        return Odd(a=1)
        """,
        [CallFault.TIMEOUT, CallFault.MEMORY],
    ),
    "claim to be another class": (
        """
        class Odd:
            __class__ = property(lambda self: float)

            def __float__(self):
                return 1.0

        return Odd()
        """,
        [CallFault.ANSWER, 1.0],
    ),
    "print 200 MB": ("for _ in range(200): print('x' * 1_000_000)", [CallFault.ANSWER]),
    "write 200 MB": ("while True: os.write(1, b'x' * 100_000)", [CallFault.ANSWER]),
    "answer 200 MB by hand": ("while True: os.write(3, b'x' * 100_000)", [CallFault.ANSWER]),
    "say nothing that is known": (saying("b'perfect 1.0'"), [CallFault.ANSWER]),
    "say that the sandbox failed": (saying("""b'sandbox "x"'"""), [CallFault.ANSWER]),
    "say that time was up": (saying("""b'timeout "x"'"""), [CallFault.ANSWER]),
    "say no JSON": (saying("b'value 1.0 }'"), [CallFault.ANSWER]),
    "say NaN": (saying("b'value NaN'"), [CallFault.ANSWER]),
    "say infinity": (saying("b'value 1e999'"), [CallFault.ANSWER]),
    "say a key twice": (saying("""b'value {"a": 1, "a": 2}'"""), [CallFault.ANSWER]),
    "say something deep": (saying("b'value ' + b'[' * 30_000 + b']' * 30_000"), [CallFault.ANSWER]),
    "say something deeper": (saying("b'value ' + b'[' * 65_000"), [CallFault.ANSWER]),
    "say many digits": (saying("b'value ' + b'9' * 60_000"), [CallFault.ANSWER]),
    "say half a character": (saying("""rb'value "\\ud800"'"""), [CallFault.ANSWER]),
    "say no UTF-8": (saying("""b'value "\\xff"'"""), [CallFault.ANSWER]),
    "say it twice": (saying("b'value 1.0value 1.0'"), [CallFault.ANSWER]),
    "say too little": (saying("b'value'"), [CallFault.ANSWER]),
    "say a message that is none": (saying("b'raised 1'"), [CallFault.ANSWER]),
    "say that a program is done": (saying("b'done 1.0'"), [CallFault.ANSWER]),
    "say nothing but zeros": (saying("bytes(100)"), [CallFault.ANSWER]),
    "find out what is expected": (
        """
        import gc

        found = [
            each
            for each in gc.get_objects()
            if isinstance(each, dict) and ("expected" in each or "reference" in each)
        ]
        frame, names = sys._getframe(), set()
        while frame:
            names |= set(frame.f_locals)
            frame = frame.f_back
        return "held" if not found and "expected" not in names else repr(found)
        """,
        ["held"],
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_the_answer_ends_in_a_fault(attacked: Callable[..., Outcome], name: str) -> None:
    outcome = attacked(ATTACKS, name)
    assert (outcome.fault or outcome.value) in ATTACKS[name][1], outcome
    assert len(outcome.message) <= 500
    assert len(outcome.stdout) <= Limits().output_bytes


PLAIN: Mapping[str, tuple[str, Json]] = {
    "a float that equals everything": (
        """
        class Odd(float):
            def __eq__(self, other):
                return True

        return Odd(0.25)
        """,
        0.25,
    ),
    "a float that shows another": (
        """
        class Odd(float):
            __repr__ = lambda self: "1.0"
            __float__ = lambda self: 1.0

        return Odd(0.25)
        """,
        1.0,
    ),
    "text that equals everything": (
        """
        class Odd(str):
            def __eq__(self, other):
                return True

            __hash__ = str.__hash__

        return {Odd("a"): Odd("b")}
        """,
        {"a": "b"},
    ),
    "a list that equals everything": (
        """
        class Odd(list):
            def __eq__(self, other):
                return True

        return Odd([1])
        """,
        [1],
    ),
    "a number by its own hand": ("os.write(3, b'value 1.0')\nos._exit(0)", 1.0),
    "true": ("return True", True),
    "text": ("return '1.0'", "1.0"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_arrives_is_plain(run: Run, name: str) -> None:
    body, wanted = PLAIN[name]
    source = "import os\ndef work():\n" + indent(dedent(body), "    ")
    (outcome,) = run([Call(source=source, function="work")])
    assert outcome.fault is None
    assert json.dumps(outcome.value) == json.dumps(wanted)
    assert type(outcome.value) is type(wanted)


SPOILERS = {
    "builtins": """
        import builtins

        for name in ("print", "len", "isinstance", "float", "open", "compile", "exec"):
            setattr(builtins, name, None)
        """,
    "modules": """
        import json, os, sys

        json.dumps = json.loads = os.write = os.read = os._exit = None
        sys.modules.clear()
        """,
    "the process": """
        import os, sys

        sys.stdout.close()
        sys.setrecursionlimit(50)
        os.environ.clear()
        os._exit(3)
        """,
    "threads": """
        import threading, time

        [threading.Thread(target=time.sleep, args=(60,), daemon=True).start() for _ in range(9)]
        """,
    "the collector": """
        import gc

        gc.disable()
        for each in gc.get_objects():
            if isinstance(each, dict):
                each.clear()
        """,
}


@pytest.mark.parametrize("name", SPOILERS)
def test_what_a_call_spoils_is_whole_for_the_next(run: Run, name: str) -> None:
    limits = Limits(wall_s=1.0)
    spoiler, honest = (
        Call(source=dedent(SPOILERS[name]), limits=limits),
        Call(source="def f(): return len([0.5])", function="f"),
    )
    outcomes = run([spoiler] * 8 + [honest] * 8)
    assert [outcome.value for outcome in outcomes[8:]] == [1] * 8


SOURCES = {
    "zero bytes": "x = 1\0",
    "half a character": "x = '\ud800'",
    "nothing that is Python": "def (",
    "many brackets": "(" * 100_000,
    "many operators": "x = " + "-" * 1_000_000 + "1",
    "many levels": "".join(" " * n + "if 1:\n" for n in range(150)),
    "a long number": "x = " + "9" * 100_000,
    "an encoding that is none": "# coding: nonsense\n(",
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_cannot_be_compiled_is_a_fault(run: Run, name: str) -> None:
    (outcome,) = run([Call(source=SOURCES[name], function="f", limits=Limits(wall_s=5.0))])
    assert outcome.fault in (CallFault.SOURCE, CallFault.MEMORY, CallFault.ENDED)


SECRET_HUNT = """
import ctypes, os

def hunt(first, second):
    # Reads this process's memory through a pipe, which refuses what is not there instead of crashing. What is looked
    # for is here in two parts, so that it is not found here.
    libc = ctypes.CDLL(None, use_errno=True)
    ends = os.pipe()
    first, second = first.encode(), second.encode()
    found, page = 0, 4096
    seen = set()
    for start in [id(each) for each in ([], (), "", {}, hunt, os, 10 ** 30, "x" * 5000, bytearray(1 << 20), None)]:
        for address in range((start >> 24) << 24, ((start >> 24) + 1) << 24, page):
            if address in seen:
                continue
            seen.add(address)
            if libc.write(ends[1], ctypes.c_void_p(address), page) == page:
                there = os.read(ends[0], page)
                at = there.find(first)
                while at >= 0:
                    found += there[at + len(first) : at + len(first) + len(second)] == second
                    at = there.find(first, at + 1)
    return [found, len(seen) > 4096]
"""


def test_no_call_finds_in_its_memory_what_an_earlier_one_was_given(run: Run) -> None:
    first, second = "reference-" + "4711" * 3, "0815" * 3
    earlier = Call(
        source=f"def f(x, *_): return '{first + second}'[:0] + x",
        function="f",
        arguments=(first + second, ["pad" * 1000], {first + second: 1}),
        stdin=(first + second) * 100,
    )
    hunt = Call(source=SECRET_HUNT, function="hunt", arguments=(first, second), limits=Limits(wall_s=20.0, cpu_s=20.0))
    outcomes = run([earlier] * 8 + [hunt] * 4)
    assert [outcome.value for outcome in outcomes] == [first + second] * 8 + [[0, True]] * 4


def test_the_hunt_finds_what_its_own_call_was_given(run: Run) -> None:
    first, second = "reference-" + "4711" * 3, "0815" * 3
    hunt = Call(
        source=SECRET_HUNT + "\ndef find(first, second, whole): return hunt(first, second)",
        function="find",
        arguments=(first, second, first + second),
        limits=Limits(wall_s=20.0, cpu_s=20.0),
    )
    (outcome,) = run([hunt])
    assert isinstance(outcome.value, list)
    assert outcome.value[0] != 0
