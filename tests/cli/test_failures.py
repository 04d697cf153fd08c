"""Whatever goes wrong ends in one message, an exit code, and a file with the traceback."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from verifine.cli.failures import TRACEBACK, Verbs, one_message_for_each_failure
from verifine.config import build_config, dump_config
from verifine.errors import DataError
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.events import EventSink, RunEnded, TrainingStarted
from verifine.runs.metrics import MetricLog
from verifine.runs.status import Status
from verifine.types import StepReport

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def fail(error: BaseException, environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """The exit code, and what is printed."""
    with pytest.raises(SystemExit) as ended, one_message_for_each_failure(environment):
        raise error
    return ended.value.code, capsys.readouterr().err


def traceback_file(printed: str) -> Path:
    found = re.search(r"The traceback is in (\S+)\.\n", printed)
    assert found is not None, printed
    return Path(found[1])


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyError("x"), 1, "an unexpected error ended this (KeyError: 'x')"),
        (RecursionError("maximum recursion depth exceeded"), 1, "RecursionError: maximum recursion depth"),
        (AssertionError(), 1, "(AssertionError)"),
        (ImportError("libcudart.so: cannot open shared object file"), 1, "libcudart.so"),
        (MemoryError(), 3, "memory ran out; lower optim.micro_batch_tokens"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), 3, "memory ran out"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), 3, "/a/b: No space left on device; free some space"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "the output: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), 3, "/a/b: Permission denied; use a folder"),
        (OSError(errno.EROFS, "Read-only file system", "/a"), 3, "/a: Read-only file system"),
        (OSError(errno.EMFILE, "Too many open files", "/a"), 3, "ulimit -n"),
    ],
    ids=str,
)
def test_an_exception_is_one_line_with_its_traceback_in_a_file(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, printed = fail(error, {}, capsys)
    assert ended == code
    assert words in printed
    assert "Traceback" not in printed
    assert printed.startswith("verifine: ")
    assert printed.count("\n") == 2
    path = traceback_file(printed)
    assert "Traceback (most recent call last)" in path.read_text()
    path.unlink()


def test_an_error_of_ours_has_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(DataError("rows.jsonl line 3: broken"), {}, capsys) == (4, "verifine: rows.jsonl line 3: broken\n")


def test_notes_of_an_error_are_printed_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    error = DataError("broken")
    error.add_note("Step 3 is saved.")
    assert fail(error, {}, capsys)[1] == "verifine: broken\nStep 3 is saved.\n"


def test_a_switch_prints_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    _, printed = fail(KeyError("x"), {TRACEBACK: "1"}, capsys)
    assert "Traceback (most recent call last)" in printed
    traceback_file(printed).unlink()


def test_secrets_are_neither_printed_nor_kept(capsys: pytest.CaptureFixture[str]) -> None:
    _, printed = fail(KeyError("sk-secret-value"), {"API_KEY": "sk-secret-value"}, capsys)
    assert "sk-secret-value" not in printed
    path = traceback_file(printed)
    assert "KeyError: '[secret]'" in path.read_text()
    path.unlink()


def test_ctrl_c_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(KeyboardInterrupt(), {}, capsys) == (130, "")


@pytest.mark.parametrize(
    ("error", "code", "printed"), [(KeyboardInterrupt(), 130, "verifine: stopped\n"), (BrokenPipeError(), 141, "")]
)
def test_a_verb_that_is_stopped_or_not_read_ends_quietly(
    error: BaseException, code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer(cls=Verbs)

    @app.command()
    def first() -> None:
        raise error

    @app.command()
    def second() -> None: ...

    with pytest.raises(SystemExit) as ended, one_message_for_each_failure({}):
        app(["first"])
    assert (ended.value.code, capsys.readouterr().err) == (code, printed)


def test_a_thread_that_fails_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise ZeroDivisionError("in a thread")

    before = threading.excepthook
    with one_message_for_each_failure({}):
        thread = threading.Thread(target=work, name="heartbeat")
        thread.start()
        thread.join()
    printed = capsys.readouterr().err
    assert "the thread heartbeat ended with an unexpected error (ZeroDivisionError: in a thread)" in printed
    assert "Traceback" not in printed
    assert "in work" in traceback_file(printed).read_text()
    assert threading.excepthook is before


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run with a finding."""
    directory = RunDirectory.create(tmp_path_factory.mktemp("runs") / "run", "add", NOW)
    write_text(directory.config, dump_config(build_config({"data": {"task": "add"}})))
    events, metrics = EventSink(directory.events, lambda: NOW), MetricLog(directory.metrics)
    events.emit(TrainingStarted())
    for step in range(1, 41):
        metrics.append(StepReport(step=step, metrics={"reward": 0.3, "completions/clipped_ratio": 0.6, "updates": 1.0}))
    events.emit(RunEnded(status=Status.FINISHED))
    return directory


def command(*words: object, **settings: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **settings}
    return subprocess.Popen(
        [sys.executable, "-m", "verifine", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )


def test_a_closed_pipe_is_no_error(run: RunDirectory) -> None:
    with command("doctor", run.path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.parametrize(
    "settings",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=str,
)
def test_a_terminal_of_another_encoding_shows_everything(settings: dict[str, str], run: RunDirectory) -> None:
    process = command("doctor", run.path, **settings)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert rb"\u2192" in out, "an arrow stands before what to change"


def test_a_full_disk_behind_the_output_is_one_message(run: RunDirectory) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "verifine", "doctor", str(run.path)], stdout=full, stderr=subprocess.PIPE
        )
    assert b"Traceback" not in ended.stderr.replace(b"The traceback", b"")
    assert b"the output: No space left on device; free some space" in ended.stderr
    assert ended.returncode == 3
