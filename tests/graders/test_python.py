from __future__ import annotations

from collections.abc import Iterator

import pytest

from verifine.config.graders import PythonGraderConfig
from verifine.errors import GraderError
from verifine.graders.python import PythonGrader, grade_of
from verifine.graders.sample import sample_fields
from verifine.graders.sandbox import CallFault, Outcome
from verifine.graders.services import Services
from verifine.types import Grade, GradeFault, Json, Sample

FINE = {
    "quarter": "return 0.25",
    "whole": "return 1",
    "negative": "return -3.5",
    "fraction": "from fractions import Fraction\nreturn Fraction(1, 4)",
    "echo": "return item['x']",
    "json": "return float(sample == item['sample'])",
    "length": "return len(sample['output_text'])",
    "standard input": "import sys\nreturn len(sys.stdin.read())",
    "prints": "print('value 9.0')\nprint('x' * 10_000)\nreturn 0.5",
    "counts": "global calls\ncalls += 1\nreturn calls",
    "dataclass": "return Point(json.loads('3')).x",
    "keeps": "import builtins, math\nseen = hasattr(builtins, 'seen')\nbuiltins.seen = math.pi = 1\nreturn float(seen)",
    "environment": "import os\nreturn float('VERIFINE_SECRET' in os.environ or 'token' in os.environ.values())",
    "numbers": "import numbers\nreturn float('tasks' in numbers.__file__)",
}
FAILING = {
    "missing key": ("return item['gt_answer']", "KeyError: 'gt_answer'"),
    "division": ("return 1 / 0", "ZeroDivisionError: division by zero"),
    "missing package": ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
    "exit": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "recursion": ("return grade(sample, item)", "RecursionError: maximum recursion depth exceeded"),
    "input": ("return input()", "EOFError: EOF when reading a line"),
    "nan": ("return float('nan')", "it returned nan, which is not finite"),
    "infinity": ("return float('inf')", "it returned inf, which is not finite"),
    "too large": ("return 10 ** 400", "grade returned a number that is too large"),
    "bool": ("return True", "grade returned bool, not a number; return a float such as 1.0"),
    "text": ("return '1.0'", "grade returned str, not a number; return a float such as 1.0"),
    "nothing": ("pass", "grade returned NoneType, not a number; return a float such as 1.0"),
    "list": ("return [1.0]", "grade returned list, not a number; return a float such as 1.0"),
    "object": ("return object()", "it returned object, which is not JSON"),
    "ends": ("import os\nos._exit(3)", "its process ended by itself (exit code 3)"),
    "memory": ("return len('x' * 10 ** 11)", "MemoryError"),
    "prints for ever": ("while True: print('x' * 1000)", "it printed more than 65536 bytes"),
    "file": ("return len(open('/etc/hostname').read())", "Error"),
    "socket": ("import socket\nreturn socket.socket().fileno()", "Error"),
    "process": ("import subprocess\nreturn subprocess.run(['true']).returncode", "Error"),
}
CASES = FINE | {name: body for name, (body, _) in FAILING.items()}
SOURCE = """
from __future__ import annotations
import json
from dataclasses import dataclass

calls = 0

@dataclass
class Point:
    x: int

def grade(sample, item):
    return CASES[item["case"]](sample, item)

CASES = {}
""" + "\n".join(
    f"def case_{index}(sample, item):\n"
    + "".join(f"    {line}\n" for line in body.splitlines())
    + f"CASES[{name!r}] = case_{index}"
    for index, (name, body) in enumerate(CASES.items())
)


def opened(source: str, *, timeout_s: float = 5.0) -> PythonGrader:
    return PythonGrader(PythonGraderConfig(type="python", name="mine", source=source, timeout_s=timeout_s), Services())


@pytest.fixture(scope="module")
def grader() -> Iterator[PythonGrader]:
    """One grader that does what the item's `case` says."""
    python = opened(SOURCE)
    yield python
    python.close()


def answered(case: str, text: str = "hello", **item: Json) -> Sample:
    return Sample(output_text=text, item={"case": case, **item})


@pytest.mark.parametrize(
    ("case", "score"),
    [
        ("quarter", 0.25),
        ("whole", 1.0),
        ("negative", -3.5),
        ("fraction", 0.25),
        ("standard input", 0.0),
        ("prints", 0.5),
        ("dataclass", 3.0),
        ("numbers", 0.0),
    ],
)
def test_the_returned_number_is_the_score(grader: PythonGrader, case: str, score: float) -> None:
    (grade,) = grader.grade([answered(case)])
    assert (grade.score, grade.parts, grade.reason, grade.faults) == (score, {"mine": score}, None, frozenset())
    assert grade.seconds > 0


def test_grade_sees_the_answer_and_the_item(grader: PythonGrader) -> None:
    text = '{"a": [1, "é", "\ud83d"]}'  # half a character must survive the way there too
    seen = sample_fields(Sample(output_text=text, item={}))
    right, wrong = grader.grade([answered("json", text, sample=seen), answered("json", "else", sample=seen)])
    assert (right.score, wrong.score) == (1.0, 0.0)


def test_many_samples_are_graded_in_order(grader: PythonGrader) -> None:
    grades = grader.grade([answered("echo", x=index) for index in range(64)])
    assert [grade.score for grade in grades] == list(range(64))
    assert grader.grade([]) == []


def test_large_samples_pass(grader: PythonGrader) -> None:
    assert grader.grade([answered("length", "x" * 3_000_000)])[0].score == 3_000_000


def test_no_sample_sees_what_another_left(grader: PythonGrader) -> None:
    assert [grade.score for grade in grader.grade([answered("counts")] * 8)] == [1.0] * 8
    assert [grade.score for grade in grader.grade([answered("keeps")] * 8)] == [0.0] * 8


def test_the_environment_of_the_run_does_not_reach_the_grader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFINE_SECRET", "token")
    python = opened(SOURCE)
    try:
        assert python.grade([answered("environment")])[0].score == 0.0
    finally:
        python.close()


@pytest.mark.parametrize("case", FAILING)
def test_a_failing_call_is_unscorable_and_its_neighbours_are_not(grader: PythonGrader, case: str) -> None:
    before, failed, after = grader.grade([answered("whole"), answered(case), answered("whole")])
    assert before.score == after.score == 1.0
    assert failed.score is None
    assert failed.faults == {GradeFault.PYTHON_RUNTIME}
    assert failed.reason is not None
    assert FAILING[case][1] in failed.reason


def test_an_error_names_the_line_and_is_cut_where_it_is_long() -> None:
    python = opened("\n\ndef grade(sample, item):\n    raise ValueError('x' * 1_000_000)")
    try:
        (grade,) = python.grade([Sample(output_text="", item={})])
    finally:
        python.close()
    assert grade.reason is not None
    assert grade.reason.startswith("line 4: ValueError: xxx")
    assert len(grade.reason) == 500


def test_an_endless_loop_ends_at_the_time_limit_and_the_others_are_graded() -> None:
    python = opened("def grade(sample, item):\n    while item['loop']: pass\n    return 1.0", timeout_s=1.0)
    try:
        grades = python.grade([Sample(output_text="", item={"loop": loop}) for loop in (False, True, False)])
    finally:
        python.close()
    assert [grade.score for grade in grades] == [1.0, None, 1.0]
    assert grades[1].reason == "timed out after 1 s"
    assert grades[1].faults == {GradeFault.PYTHON_RUNTIME, GradeFault.UNRESPONSIVE_REWARD}
    assert grades[1].seconds >= 1.0


def test_numpy_is_there_for_graders_that_import_it() -> None:
    source = (
        "import numpy as np\nfrom numpy import linalg\n"
        "def grade(sample, item):\n    return linalg.norm(np.array([float(sample['output_text']), item['y']]))"
    )
    python = opened(source)
    try:
        (grade,) = python.grade([Sample(output_text="3", item={"y": 4})])
    finally:
        python.close()
    assert grade.score == 5.0


def test_a_row_that_is_not_json_is_unscorable_alone(grader: PythonGrader) -> None:
    odd = Sample(output_text="", item={"case": "whole", "x": {1, 2}})  # type: ignore[dict-item]
    first, second, third = grader.grade([answered("whole"), odd, answered("whole")])
    assert second.score is None
    assert second.faults == {GradeFault.INVALID_VARIABLE}
    assert "type set" in (second.reason or "")
    assert first.score == third.score == 1.0


def test_a_sandbox_that_fails_is_not_the_graders_fault() -> None:
    outcome = Outcome(fault=CallFault.SANDBOX, message="the sandbox failed twice", seconds=1.0)
    assert grade_of(outcome, name="mine") == Grade.unscorable("the sandbox failed twice", GradeFault.PYTHON_SERVER, 1.0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def grade(sample, item)\n    return 1", "line 1: SyntaxError: expected ':'"),
        ("if True:\nx = 1", "line 2: IndentationError: expected an indented block"),
        ("x = '\0'", "source code string cannot contain null bytes"),
        ("x = 1\n\n1 / 0", "line 3: ZeroDivisionError: division by zero"),
        (
            "import not_there",
            "No module named 'not_there'; the sandbox sees the packages of Verifine's own environment, so install it",
        ),
        ("", "no function `grade` is defined; add `def grade(sample: dict, item: dict) -> float: ...`"),
        ("grade = 1.0", "no function `grade` is defined"),
        (
            "def grade(sample): return 1.0",
            "`grade(sample)` cannot be called with a sample and an item; write `grade(sample: dict, item: dict)",
        ),
        ("def grade(sample, item, more): return 1.0", "cannot be called with a sample and an item"),
        ("def grade(*, sample, item): return 1.0", "cannot be called with a sample and an item"),
        (
            "def grade(sample_text: str, reference_text: str): return 1.0",
            "wants texts, but both arguments are dicts; write `grade(sample: dict, item: dict) -> float` and read "
            "sample['output_text'] and the fields of item",
        ),
        (
            "from __future__ import annotations\ndef grade(sample: dict, item: str) -> float: return 1.0",
            "wants texts, but both arguments are dicts",
        ),
        ("import sys; sys.exit(2)", "SystemExit: 2"),
        ("import os; os._exit(2)", "its process ended by itself (exit code 2)"),
    ],
)
def test_source_that_cannot_grade_is_refused_when_the_grader_is_built(source: str, message: str) -> None:
    with pytest.raises(GraderError) as caught:
        opened(source)
    told = str(caught.value)
    assert told.startswith('grader "mine": its source cannot be loaded: ')
    assert told.endswith("; fix the source")
    assert message in told


def test_source_that_does_not_end_is_refused_when_the_grader_is_built() -> None:
    with pytest.raises(GraderError, match="cannot be loaded: timed out after 0.5 s"):
        opened("while True: pass", timeout_s=0.5)


@pytest.mark.parametrize(
    "source",
    [
        "def grade(sample: dict, item: dict) -> float: return 1.0",
        "def grade(sample: dict[str, object], item, *more, flag=True): return 1.0",
        "grade = lambda *both: 1.0",
        "class Grader:\n    def __call__(self, sample, item): return 1.0\ngrade = Grader()",
        "try: import not_there\nexcept ImportError: pass\ndef grade(sample, item): return 1.0",
    ],
)
def test_whatever_can_be_called_with_two_dicts_grades(source: str) -> None:
    python = opened(source)
    try:
        assert python.grade([Sample(output_text="", item={})])[0].score == 1.0
    finally:
        python.close()


def test_source_that_is_too_deep_to_be_parsed_is_refused() -> None:
    with pytest.raises(GraderError, match="its source cannot be loaded: "):
        opened("(" * 5000 + ")" * 5000 + "\ndef grade(sample, item): return 1.0")
