from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from verifine.config.graders import PythonGrader
from verifine.errors import GraderError
from verifine.graders.python_source import PythonSource
from verifine.types import Grade, Json, Sample

Start = Callable[..., PythonSource]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a grader from the body of its grade function, or from a whole source."""
    graders = []

    def started(body: str = "", *, source: str | None = None, timeout_s: float = 5.0) -> PythonSource:
        text = source or "def grade(sample, item):\n" + "".join(f"    {line}\n" for line in body.splitlines())
        grader = PythonSource(PythonGrader(type="python", name="mine", source=text, timeout_s=timeout_s))
        graders.append(grader)
        return grader

    yield started
    for grader in graders:
        grader.close()


def answered(text: str = "hello", **item: Json) -> Sample:
    return Sample(output_text=text, item=item)


def grade(grader: PythonSource, sample: Sample | None = None) -> Grade:
    (result,) = grader.grade([sample or answered()])
    return result


def wait_for_death(pid: int) -> None:
    """Until the child has ended; it is left for its owner to reap."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_returned_number_is_the_score(start: Start) -> None:
    assert grade(start("return 0.25")) == Grade(score=0.25, parts={"mine": 0.25})
    assert grade(start("return 1")).score == 1.0
    assert grade(start("from fractions import Fraction\nreturn Fraction(1, 4)")).score == 0.25


def test_grade_sees_the_answer_and_the_item(start: Start) -> None:
    grader = start("return float(sample['output_text'] == item['want'] and sample['output_json'] == item['json'])")
    want = '{"a": [1, "é", "\ud83d"]}'  # a lone surrogate must survive the way there too
    assert grade(grader, answered(want, want=want, json={"a": [1, "é", "\ud83d"]})).score == 1.0
    assert grade(grader, answered("no JSON", want="no JSON", json=None)).score == 1.0
    assert grade(grader, answered("no JSON", want="else", json=None)).score == 0.0


def test_many_samples_are_graded_in_order_by_one_process(start: Start) -> None:
    grader = start(
        source="calls = 0\ndef grade(sample, item):\n    global calls\n    calls += 1\n    return calls * item['x']"
    )
    grades = grader.grade([answered(x=index) for index in range(64)])
    assert [each.score for each in grades] == [(index + 1) * index for index in range(64)]


def test_large_samples_pass(start: Start) -> None:
    assert grade(start("return len(sample['output_text'])"), answered("x" * 3_000_000)).score == 3_000_000


def test_an_endless_loop_ends_at_the_time_limit_and_the_next_sample_is_graded(start: Start) -> None:
    grader = start("while item['loop']: pass\nreturn 1.0", timeout_s=0.3)
    grades = grader.grade([answered(loop=False), answered(loop=True), answered(loop=False)])
    assert grades == [
        Grade(score=1.0, parts={"mine": 1.0}),
        Grade.unscorable("timed out after 0.3 s"),
        Grade(score=1.0, parts={"mine": 1.0}),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return item['gt_answer']", "line 3: KeyError: 'gt_answer'"),
        ("x = 1\nreturn x / 0", "line 4: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", "line 4: SystemExit: 3"),
        ("raise KeyboardInterrupt", "line 3: KeyboardInterrupt"),
        ("return grade(sample, item)", "line 3: RecursionError: maximum recursion depth exceeded"),
        ("return input()", "line 3: EOFError: EOF when reading a line"),
        ("return float('nan')", "ValueError: grade returned nan, which is not finite"),
        ("return float('inf')", "ValueError: grade returned inf, which is not finite"),
        ("return 10 ** 5000", "ValueError: grade returned a number that is too large"),
        ("return True", "TypeError: grade returned bool, not a number; return a float such as 1.0"),
        ("return '1.0'", "TypeError: grade returned str, not a number; return a float such as 1.0"),
        ("pass", "TypeError: grade returned NoneType, not a number; return a float such as 1.0"),
        ("import os\nos._exit(3)", "its process ended by itself (exit code 3)"),
        ("import os\nos.kill(os.getpid(), 9)", "its process ended by itself (signal SIGKILL)"),
    ],
)
def test_a_failing_call_is_unscorable_and_the_next_is_graded_afresh(start: Start, body: str, reason: str) -> None:
    grader = start(f"if item['fine']: return 1.0\n{body}")
    before, failed, after = grader.grade([answered(fine=True), answered(fine=False), answered(fine=True)])
    assert before.score == after.score == 1.0
    assert failed.score is None
    assert failed.reason is not None
    assert failed.reason.startswith(reason)


def test_a_long_error_is_cut(start: Start) -> None:
    reason = grade(start("raise ValueError('x' * 10_000_000)")).reason
    assert reason is not None
    assert len(reason) == 500


def test_what_the_source_prints_does_not_reach_the_protocol(start: Start) -> None:
    noise = [
        "import os, sys, subprocess",
        'print(\'{"id": 2, "score": 9.0}\', flush=True)',
        "print('x' * 1_000_000)",
        "sys.__stdout__.write('more'); sys.stderr.write('even more')",
        "os.write(1, b'{}\\n'); os.write(2, b'noise')",
        "subprocess.run(['echo', '{}'], check=True)",
        "return 0.5",
    ]
    grader = start("\n".join(noise))
    assert [each.score for each in grader.grade([answered()] * 3)] == [0.5] * 3


def test_reading_standard_input_gives_nothing_and_takes_no_sample(start: Start) -> None:
    grader = start("import sys\nreturn len(sys.stdin.read())")
    assert [each.score for each in grader.grade([answered()] * 3)] == [0.0] * 3


def test_a_forked_process_cannot_answer_for_the_next_sample(start: Start) -> None:
    grades = start("import os\nos.fork()\nreturn item['x']").grade([answered(x=index) for index in range(5)])
    assert all(each.score in (index, None) for index, each in enumerate(grades))


def test_an_endless_answer_written_into_the_protocol_is_unscorable(start: Start) -> None:
    body = (
        "import os\nfor fd in range(3, 10):\n    try: os.write(fd, b'x' * 70_000)\n    except OSError: pass\nreturn 1.0"
    )
    assert grade(start(body)).reason == "its process answered with more than 65536 bytes"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("hello", "its process answered something that is not JSON"),
        ("[]", "its process answered another request than was made"),
        ('{"id": 1, "score": 1.0}', "its process answered another request than was made"),
        ('{"id": 2, "score": NaN}', "grade returned nan, which is not finite"),
        ('{"id": 2, "score": true}', "grade returned bool, not a number; return a float such as 1.0"),
        ('{"id": 2}', "grade returned NoneType, not a number; return a float such as 1.0"),
    ],
)
def test_an_answer_forged_by_the_source_is_checked_again_by_us(start: Start, written: str, reason: str) -> None:
    write = f"os.write(fd, {written!r}.encode() + b'\\n')"
    body = f"import os\nfor fd in range(3, 10):\n    try: {write}\n    except OSError: pass"
    grader = start(body + "\nos._exit(0)")
    assert grade(grader).reason == reason


def test_a_child_killed_between_two_calls_is_replaced(start: Start) -> None:
    grader = start("import os\nreturn os.getpid()")
    pid = grade(grader).score
    assert pid is not None
    os.kill(int(pid), signal.SIGKILL)
    wait_for_death(int(pid))
    replaced = grade(grader).score
    assert replaced is not None
    assert replaced != pid


def test_a_child_that_reads_nothing_cannot_hold_up_a_large_sample(start: Start) -> None:
    grader = start("import os\nreturn os.getpid()", timeout_s=0.3)
    pid = grade(grader).score
    assert pid is not None
    os.kill(int(pid), signal.SIGSTOP)
    os.waitid(os.P_PID, int(pid), os.WSTOPPED | os.WNOWAIT)
    assert grade(grader, answered("x" * 3_000_000)).reason == "timed out after 0.3 s"
    assert grade(grader).valid


def test_the_environment_of_the_run_does_not_reach_the_grader(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFINE_SECRET", "token")
    seen = start("import os\nreturn float('VERIFINE_SECRET' in os.environ or 'token' in os.environ.values())")
    assert grade(seen).score == 0.0
    assert (
        grade(
            start("import os\nreturn len(set(os.environ) - {'PATH', 'LD_LIBRARY_PATH', 'HOME', 'TMPDIR', 'LC_ALL'})")
        ).score
        == 0
    )


def test_the_grader_works_in_an_empty_folder_that_goes_with_it(start: Start) -> None:
    grader = start("import os\nopen('left', 'w').close()\nraise ValueError(os.getcwd())")
    reason = grade(grader).reason
    assert reason is not None
    folder = Path(reason.removeprefix("line 4: ValueError: "))
    assert [file.name for file in folder.iterdir()] == ["left"]
    grader.close()
    assert not folder.exists()


def test_modules_of_the_run_are_not_imported_by_accident(start: Start) -> None:
    grader = start(
        # `numbers` is also the name of a module beside the built-in tasks, and the worker lies in `graders`.
        "import numbers, sys\nfrom pathlib import Path\n"
        "folders = [Path(numbers.__file__).parent.name, *(Path(p).name for p in sys.path)]\n"
        "return float(bool({'graders', 'tasks'} & set(folders)))"
    )
    assert grade(grader).score == 0.0


def test_closing_ends_the_child_and_its_children(start: Start, tmp_path: Path) -> None:
    """A pipe reads as ended once nobody is left who could write to it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as pipe:
        sleeper = f"subprocess.Popen(['sleep', '600'], stdout=open({str(path)!r}, 'wb'))"
        grader = start(f"import os, subprocess\n{sleeper}\nreturn os.getpid()")
        pid = grade(grader).score
        assert pid is not None
        assert is_running(int(pid))
        assert select.select([pipe], [], [], 0)[0] == []
        grader.close()
        grader.close()
        assert not is_running(int(pid))
        assert select.select([pipe], [], [], 30)[0] == [pipe]


def test_a_forgotten_grader_takes_its_child_along() -> None:
    grader = PythonSource(PythonGrader(type="python", source="import os\ndef grade(sample, item): return os.getpid()"))
    pid = grade(grader).score
    assert pid is not None
    del grader
    gc.collect()
    assert not is_running(int(pid))


def test_a_closed_grader_that_grades_again_starts_a_new_child(start: Start) -> None:
    grader = start("return 1.0")
    grader.close()
    assert grade(grader).score == 1.0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def grade(sample, item)\n    return 1", "line 1: SyntaxError: expected ':'"),
        ("x = 1\n\n1 / 0", "line 3: ZeroDivisionError: division by zero"),
        ("import not_there", "line 1: ModuleNotFoundError: No module named 'not_there'"),
        ("score = 1.0", "no function `grade` is defined; add `def grade(sample, item): ...`"),
        ("grade = 1.0", "no function `grade` is defined; add `def grade(sample, item): ...`"),
        ("def grade(sample): return 1.0", "`grade(sample)` cannot be called as `grade(sample, item)`"),
        ("import sys; sys.exit(2)", "SystemExit: 2"),
        ("import os; os._exit(2)", "its process ended by itself (exit code 2)"),
        ("", "no function `grade` is defined"),
        ("x = '\0'", "null bytes"),
    ],
)
def test_source_that_cannot_be_loaded_is_refused_when_the_grader_is_built(source: str, message: str) -> None:
    with pytest.raises(GraderError) as caught:
        PythonSource(PythonGrader(type="python", name="mine", source=source))
    told = str(caught.value)
    assert told.startswith('grader "mine": its source cannot be loaded: ')
    assert told.endswith("; mend the source")
    assert message in told


def test_source_that_never_finishes_loading_is_refused() -> None:
    config = PythonGrader(type="python", source="while True: pass")
    with pytest.raises(GraderError, match=r"timed out after 0\.3 s"):
        PythonSource(config, load_timeout_s=0.3)


def test_source_may_define_dataclasses_and_import_the_standard_library(start: Start) -> None:
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport json\n"
        "@dataclass\nclass Point:\n    x: int\n"
        "def grade(sample, item):\n    return Point(json.loads('3')).x\n"
    )
    assert grade(start(source=source)).score == 3.0


def test_a_row_that_is_not_json_is_unscorable_and_costs_no_child(start: Start) -> None:
    grader = start("import os\nreturn os.getpid()")
    odd = Sample(output_text="", item={"x": {1, 2}})  # type: ignore[dict-item]
    first, second, third = grader.grade([answered(), odd, answered()])
    assert second.reason == "the row cannot be sent to the grader as JSON: Object of type set is not JSON serializable"
    assert first.score == third.score


def test_a_fork_of_the_run_does_not_take_the_child_along_when_it_ends() -> None:
    program = (
        "import os, sys\n"
        "from verifine.config.graders import PythonGrader\n"
        "from verifine.graders.python_source import PythonSource\n"
        "from verifine.types import Sample\n"
        "source = 'calls = []\\ndef grade(sample, item):\\n    calls.append(1)\\n    return len(calls)'\n"
        "grader = PythonSource(PythonGrader(type='python', source=source))\n"
        "ask = lambda: grader.grade([Sample(output_text='', item={})])[0].score\n"
        "ask()\n"
        "if os.fork() == 0: sys.exit()\n"
        "os.wait()\n"
        "print(ask())\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "2.0\n"
