"""What honest programs do must work at every level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import dedent

import pytest

from verifine.graders.sandbox import Call, Outcome

Run = Callable[[Sequence[Call]], list[Outcome]]

PROGRAMS: dict[str, tuple[str, str, str]] = {
    "input": ("print(int(input()) * 2)", "21\n", "42\n"),
    "lines": ("import sys\nfor line in sys.stdin: print(line.strip()[::-1])", "ab\ncd\n", "ba\ndc\n"),
    "bytes": ("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())", "é\n", "é\n"),
    "open(0)": ("print(sum(map(int, open(0).read().split())))", "1 2 3", "6\n"),
    "os.read": ("import os\nos.write(1, os.read(0, 9))", "abc", "abc"),
    "end of input": ("try: input()\nexcept EOFError: print('end')", "", "end\n"),
    "main": ("def main(): print(__name__)\nif __name__ == '__main__': main()", "", "__main__\n"),
    "arguments": ("import sys\nprint(sys.argv)", "", "['program.py']\n"),
    "exit()": (
        """
        print(1)
        exit()
        print(2)
        """,
        "",
        "1\n",
    ),
    "quit()": ("print(1)\nquit()", "", "1\n"),
    "sys.exit(0)": (
        """
        import sys

        print(1)
        sys.exit(0)
        """,
        "",
        "1\n",
    ),
    "no newline at the end": ("import sys\nsys.stdout.write('x')", "", "x"),
    "flushed as it goes": ("print('a', flush=True)\nprint('b')", "", "a\nb\n"),
    "a deep thread": (
        """
        import sys, threading

        sys.setrecursionlimit(200_000)
        threading.stack_size(64 << 20)


        def down(n):
            return n and down(n - 1)


        thread = threading.Thread(target=lambda: print(down(50_000)))
        thread.start()
        """,
        "",
        "0\n",
    ),
    "at exit": (
        """
        import atexit

        atexit.register(print, "bye")
        print("hello")
        """,
        "",
        "hello\nbye\n",
    ),
    "dataclass in a program": (
        """
        from __future__ import annotations
        from dataclasses import dataclass


        @dataclass
        class P:
            x: int


        print(P(1))
        """,
        "",
        "P(x=1)\n",
    ),
    "much input": ("import sys\nprint(len(sys.stdin.read()))", "x" * 3_000_000, "3000000\n"),
    "stderr is nobody's": (
        """
        import sys

        print("x", file=sys.stderr)
        print("y")
        """,
        "",
        "y\n",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_honest_program_works(run: Run, name: str) -> None:
    text, stdin, wanted = PROGRAMS[name]
    (outcome,) = run([Call(source=dedent(text), stdin=stdin)])
    assert (outcome.stdout, outcome.fault, outcome.message, outcome.value) == (wanted, None, "", None)
