from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from verifine.config.graders import REWARD_TYPES, CodeGraderConfig
from verifine.graders import build_grader
from verifine.graders.code import MAX_CHARACTERS, CaseResult, CodeGrader, grade_cases
from verifine.graders.sandbox import CallFault, Outcome
from verifine.graders.services import Services
from verifine.types import Grade, GradeFault, Json, Sample

ADD: Json = {"inputs": ["1 2\n", "3 4\n", "10 -10\n"], "outputs": ["3\n", "7\n", "0\n"]}
"""Print the sum of two numbers."""
DOUBLE: Json = {"fn_name": "double", "inputs": ["[1, 2]", "[3]"], "outputs": ["[2, 4]", "[6]"]}
"""Return the list with each number doubled."""

ADDS = "a, b = map(int, input().split())\nprint(a + b)"
DOUBLES = "def double(numbers):\n    return [2 * number for number in numbers]"


@pytest.fixture(scope="module")
def grader() -> Iterator[CodeGrader]:
    with closing(CodeGrader(CodeGraderConfig(type="code"), Services())) as checks:
        yield checks


@pytest.fixture(scope="module")
def hasty() -> Iterator[CodeGrader]:
    """For programs that do not end, or gain nothing if they do."""
    with closing(CodeGrader(CodeGraderConfig(type="code", timeout_s=1.0), Services())) as checks:
        yield checks


def answer(program: str, tests: Json) -> Sample:
    return Sample(output_text=f"Here it is:\n```python\n{program}\n```\nDone.", item={"test_cases": tests})


def grade(grader: CodeGrader, program: str, tests: Json = ADD) -> Grade:
    (result,) = grader.grade([answer(program, tests)])
    return result


def test_a_right_program_scores_one(grader: CodeGrader) -> None:
    result = grade(grader, ADDS)
    assert (result.score, result.parts, result.reason) == (1.0, {"format": 1.0, "tests": 1.0}, None)
    assert (result.format_ok, result.answer_ok) == (True, True)
    assert result.seconds > 0


def test_a_wrong_program_scores_nothing_and_says_which_test_it_fails(grader: CodeGrader) -> None:
    result = grade(grader, "a, b = map(int, input().split())\nprint(a + b if a < 10 else 1)")
    assert (result.score, result.format_ok, result.answer_ok) == (0.0, True, False)
    assert (result.reason or "").startswith("test 3 of 3: ")
    assert result.faults == frozenset()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("1 / 0", "test 1 of 3: line 1: ZeroDivisionError: division by zero"),
        ("print(3", "test 1 of 3: line 1: SyntaxError: '(' was never closed"),
        ("import sys; sys.exit(1)", "test 1 of 3: line 1: SystemExit: 1"),
        ("x = 'x' * 10 ** 10", "test 1 of 3: MemoryError"),
        ("while True: print('x' * 1000)", "test 1 of 3: it printed more than"),
    ],
)
def test_a_program_that_fails_scores_nothing(grader: CodeGrader, program: str, reason: str) -> None:
    result = grade(grader, program)
    assert result.score == 0.0
    assert result.reason is not None
    assert result.reason.startswith(reason)


def test_a_program_that_does_not_end_scores_nothing(hasty: CodeGrader) -> None:
    result = grade(hasty, "while True: pass")
    assert (result.score, result.reason) == (0.0, "test 1 of 3: timed out after 1 s")


@pytest.mark.parametrize("text", [ADDS, f"```\n{ADDS}\n```", f"```python\n{ADDS}", "```python\n```", ""])
def test_without_a_block_of_python_there_is_no_program(grader: CodeGrader, text: str) -> None:
    (result,) = grader.grade([Sample(output_text=text, item={"test_cases": ADD})])
    assert result == Grade(score=0.0, parts={"format": 0.0, "tests": 0.0}, format_ok=False, answer_ok=False)


def test_functions_are_called_with_arguments(grader: CodeGrader) -> None:
    method = "class Solution:\n    def double(self, x: List[int]) -> List[int]: return [2 * n for n in x]"
    inherited = (
        "class Base:\n    @staticmethod\n    def double(x): return [2 * n for n in x]\nclass Solution(Base): pass"
    )
    as_tuple = DOUBLES.replace("[2", "tuple([2").replace("numbers]", "numbers])")
    for program in (DOUBLES, method, inherited, as_tuple):
        assert grade(grader, program, DOUBLE).score == 1.0, program
    future = "from __future__ import annotations\n" + DOUBLES
    assert grade(grader, future, DOUBLE).score == 1.0


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def double(numbers): return [2.0 * n for n in numbers]", "its output is not the expected one"),
        ("def double(numbers): print([2 * n for n in numbers])", "its output is not the expected one"),
        ("def double(): return [2, 4]", "TypeError: double() takes 0 positional arguments but 1 was given"),
        ("def halve(numbers): return numbers", "the program has no function `double`, and no class `Solution` with it"),
        ("def double(numbers): return {2, 4}", "it returned set, which is not JSON"),
        ("def double(numbers): return numbers[9]", "line 1: IndexError: list index out of range"),
    ],
)
def test_a_function_that_fails_scores_nothing(grader: CodeGrader, program: str, reason: str) -> None:
    result = grade(grader, program, DOUBLE)
    assert result.score == 0.0
    assert result.reason is not None
    assert reason in result.reason


def test_the_share_of_the_tests_that_pass_can_be_the_score() -> None:
    config = CodeGraderConfig(type="code", scoring="share", format_weight=0.1)
    sums = "a, b = map(int, input().split())\n"
    texts = [sums + "print(a + b)", sums + "print(a + b if a != 3 else 0)", sums + "print('?')"]
    checks = CodeGrader(config, Services())
    try:
        grades = checks.grade(
            [*(answer(text, ADD) for text in texts), Sample(output_text="", item={"test_cases": ADD})]
        )
    finally:
        checks.close()
    assert [grade.score for grade in grades] == pytest.approx([1.0, 0.1 + 0.9 * 2 / 3, 0.1, 0.0])
    assert [grade.parts["tests"] for grade in grades] == pytest.approx([1.0, 2 / 3, 0.0, 0.0])
    assert [grade.answer_ok for grade in grades] == [True, False, False, False]


@pytest.mark.slow
def test_a_program_that_is_late_twice_is_not_run_again() -> None:
    many: Json = {"inputs": [str(number) for number in range(40)], "outputs": ["0"] * 40}
    waits = "import time\nif input() != '0': time.sleep(60)\nprint(0)"
    with closing(CodeGrader(CodeGraderConfig(type="code", scoring="share", timeout_s=1.0), Services())) as checks:
        (late,) = checks.grade([answer(waits, many)])
    assert late.score == 1 / 40
    assert late.seconds < 40 * 1.0


def test_a_program_that_is_late_does_not_cost_another_one_its_tests(hasty: CodeGrader) -> None:
    zeros: Json = {"inputs": [""] * 4, "outputs": ["0"] * 4}
    late, right = hasty.grade([answer("import time\ntime.sleep(60)", zeros), answer("print(0)", zeros)])
    assert (late.score, right.score) == (0.0, 1.0)


def test_many_samples_are_graded_in_order(grader: CodeGrader) -> None:
    programs = [ADDS, "print(3)", "1 / 0", ADDS] * 8
    assert [each.score for each in grader.grade([answer(program, ADD) for program in programs])] == [1, 0, 0, 1] * 8
    assert grader.grade([]) == []


def test_a_broken_row_is_unscorable_whatever_the_answer(grader: CodeGrader) -> None:
    for text in (f"```python\n{ADDS}\n```", "no program"):
        missing, broken = grader.grade(
            [Sample(output_text=text, item={}), Sample(output_text=text, item={"test_cases": {"inputs": ["1"]}})]
        )
        for each, word in ((missing, "no field"), (broken, "`outputs`")):
            assert each.reason is not None
            assert '"test_cases"' in each.reason
            assert word in each.reason
            assert each == Grade.unscorable(each.reason, GradeFault.INVALID_VARIABLE)


def test_a_program_that_is_far_too_long_is_not_run(grader: CodeGrader) -> None:
    result = grade(grader, ADDS + "\n#" + "x" * MAX_CHARACTERS)
    assert (result.score, result.format_ok) == (0.0, True)
    assert "100000 characters" in (result.reason or "")


def test_an_output_as_long_as_the_expected_one_is_read_whole(grader: CodeGrader) -> None:
    long: Json = {"inputs": ["300000"], "outputs": ["x" * 300_000]}
    assert grade(grader, "print('x' * int(input()))", long).score == 1.0


def test_a_sandbox_that_fails_makes_the_sample_unscorable() -> None:
    results = [
        CaseResult(passed=True, outcome=Outcome(seconds=1.0)),
        CaseResult(
            passed=False, outcome=Outcome(fault=CallFault.SANDBOX, message="the sandbox failed twice", seconds=0.5)
        ),
    ]
    result = grade_cases(results, total=3, config=CodeGraderConfig(type="code", scoring="share"))
    assert result == Grade.unscorable("the sandbox failed twice", GradeFault.PYTHON_SERVER, 1.5)


def test_a_program_that_has_failed_a_test_is_wrong_whatever_the_sandbox_does_on_the_next() -> None:
    results = [
        CaseResult(passed=False, outcome=Outcome(value=None, stdout="wrong", seconds=0.25)),
        CaseResult(
            passed=False, outcome=Outcome(fault=CallFault.SANDBOX, message="the sandbox failed twice", seconds=0.5)
        ),
    ]
    assert grade_cases(results, total=3, config=CodeGraderConfig(type="code", scoring="all")).score == 0
    assert grade_cases(results[1:], total=3, config=CodeGraderConfig(type="code", scoring="all")).score is None


def test_a_program_that_sleeps_until_just_before_its_time_is_up_costs_few_tests() -> None:
    config = CodeGraderConfig(type="code", scoring="share", timeout_s=0.5)
    program = "import time\ntime.sleep(0.4)\nprint('wrong')"
    item: dict[str, Json] = {"test_cases": {"inputs": ["1\n"] * 40, "outputs": ["1\n"] * 40}}
    with closing(CodeGrader(config, Services())) as slow:
        (result,) = slow.grade([Sample(output_text=f"```python\n{program}\n```", item=item)])
    assert result.score == 0
    assert result.seconds < 40 * 0.4 / 2


# How programs cheat. Each of them solves no test of its own accord, except where it says so.

ALWAYS_EQUAL = """
class Anything(str):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def strip(self, *_): return self
    def split(self, *_): return [self]
"""
FRAMES = """
import gc, sys
def look():
    frame = sys._getframe()
    while frame is not None:
        for space in (frame.f_locals, frame.f_globals):
            for name, value in list(space.items()):
                yield name, value
        frame = frame.f_back
    for each in gc.get_objects():
        if isinstance(each, dict):
            yield from list(each.items())
"""
PATCH = """
import builtins, json, sys
def forged(*_, **__): return '[2, 4]'
json.dumps = json.JSONEncoder.encode = forged
builtins.isinstance = lambda *_: True
builtins.type = lambda *_: int
for module in list(sys.modules.values()):
    for name in ("_same", "_lines", "_plain", "passes", "dumps"):
        try: setattr(module, name, lambda *_, **__: True)
        except Exception: pass
"""

LOOK_FOR_OUTPUTS = (
    FRAMES
    + """
def found():
    return [value for name, value in look() if name in ("outputs", "expected", "cases", "test_cases", "tests")]
"""
)
WRITE_EVERYWHERE = """
import os
def write(answer):
    for fd in range(3, 64):
        try: os.write(fd, answer)
        except OSError: pass
"""
READ_FILES = """
import glob
for path in glob.glob("/**/*", recursive=True)[:1000]:
    try: print(open(path).read(100))
    except Exception: pass
"""
WAIT = """
import signal
signal.alarm(0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
while True: pass
"""

STDIN_HACKS = {
    "an object that equals everything": ALWAYS_EQUAL + "print(Anything('x'))",
    "rewriting the expected outputs": LOOK_FOR_OUTPUTS + "for each in found(): each[:] = ['x']\nprint('x')",
    "printing the expected outputs": LOOK_FOR_OUTPUTS + "print(*found())",
    "leaving with success": "import sys\nsys.exit(0)",
    "leaving at once": "import os\nos._exit(0)",
    "killing itself": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "patching what is beneath": PATCH + "print('x')",
    "forging the result": WRITE_EVERYWHERE + "write(b'done null')",
    "forging the result and leaving": WRITE_EVERYWHERE + "write(b'value true')\nos._exit(0)",
    "printing all that it was told": "import sys\nprint(sys.stdin.read(), sys.argv, dir(__builtins__))",
    "reading files": READ_FILES,
    "saying that it passes": "print('PASSED\\nAll tests passed.\\n1 passed in 0.01s')",
    "printing the answers to all tests": "print('3\\n7\\n0')",
    "what it remembers of the first test": "print(3)",
    "waiting for ever": WAIT,
}
EQUAL_LIST = """
class Anything(list):
    def __eq__(self, other): return True
def double(x): return Anything()
"""
REWRITE = (
    LOOK_FOR_OUTPUTS
    + """
def double(x):
    for each in found():
        try: each[:] = [[2, 4]]
        except Exception: pass
    return [2, 4]
"""
)
FUNCTION_HACKS = {
    "an object that equals everything": ALWAYS_EQUAL + "def double(x): return Anything('x')",
    "a list that equals everything": EQUAL_LIST,
    "rewriting the expected outputs": REWRITE,
    "reading the expected outputs": LOOK_FOR_OUTPUTS + "def double(x): return [*found(), []][0]",
    "leaving with success": "import sys\ndef double(x): sys.exit(0)",
    "leaving at once": "import os\ndef double(x): os._exit(0)",
    "patching what is beneath": PATCH + "def double(x): return object()",
    "forging the result": WRITE_EVERYWHERE + "def double(x):\n    write(b'value [2, 4]')\n    os._exit(0)",
    "what it remembers of the first test": "def double(x): return [2, 4]",
    "raising the result": "def double(x): raise StopIteration([2, 4])",
}


@pytest.mark.parametrize("name", STDIN_HACKS)
def test_a_program_gains_nothing_by(hasty: CodeGrader, name: str) -> None:
    assert grade(hasty, STDIN_HACKS[name]).score == 0.0


@pytest.mark.parametrize("name", FUNCTION_HACKS)
def test_a_function_gains_nothing_by(hasty: CodeGrader, name: str) -> None:
    assert grade(hasty, FUNCTION_HACKS[name], DOUBLE).score == 0.0


def test_a_program_that_learns_the_visible_tests_by_heart_passes_those_alone() -> None:
    checks = CodeGrader(CodeGraderConfig(type="code", scoring="share"), Services())
    learned = "print({'1 2': 3, '3 4': 7}.get(input().strip()))"
    try:
        (result,) = checks.grade([answer(learned, ADD)])
    finally:
        checks.close()
    assert result.score == 2 / 3


def test_nothing_is_left_for_the_next_test(grader: CodeGrader) -> None:
    keeps = (
        "import builtins, os, sys\n"
        "seen = getattr(builtins, 'seen', 0)\nbuiltins.seen = 1\n"
        "for folder in ('.', '/tmp', '/dev/shm'):\n"
        "    path = os.path.join(folder, 'seen')\n"
        "    seen = seen or os.path.exists(path)\n"
        "    try: open(path, 'w').close()\n    except OSError: pass\n"
        "print(int(bool(seen)))"
    )
    zeros: Json = {"inputs": ["", "", ""], "outputs": ["0", "0", "0"]}
    assert grade(grader, keeps, zeros).score == 1.0


def test_the_reward_type_code_grades_rows_of_the_seed() -> None:
    """A row has one message, and `test_cases` for standard input and output."""
    item: dict[str, Json] = {"test_cases": {"inputs": ["5\n1 2 3 4 5\n", "1\n-7\n"], "outputs": ["15\n", "-7\n"]}}
    right = "n = int(input())\nprint(sum(map(int, input().split())))"
    texts = [
        f"We add them.\n```python\n{right}\n```",
        "```python\ninput()\nprint(max(map(int, input().split())))\n```",
        right,
    ]
    grader = build_grader(REWARD_TYPES["code"].grader, Services())
    try:
        grades = grader.grade([Sample(output_text=text, item=item) for text in texts])
    finally:
        grader.close()
    assert [grade.score for grade in grades] == [1.0, 0.0, 0.0]
    assert [grade.format_ok for grade in grades] == [True, True, False]


def test_the_reward_type_code_ends_a_program_that_does_not_end() -> None:
    config = REWARD_TYPES["code"].grader.model_copy(update={"timeout_s": 0.5})
    item: dict[str, Json] = {"test_cases": {"inputs": ["5\n"], "outputs": ["5\n"]}}
    grader = build_grader(config, Services())
    try:
        (endless,) = grader.grade([Sample(output_text="```python\nwhile True:\n    pass\n```", item=item)])
    finally:
        grader.close()
    assert (endless.score, endless.format_ok) == (0.0, True)
