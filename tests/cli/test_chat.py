from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from verifine import train
from verifine.cli.chat_talk import ChatTalk
from verifine.config import load_config
from verifine.config.graders import (
    AnswerGraderConfig,
    FormatGraderConfig,
    PythonGraderConfig,
    WeightedGraderConfig,
)
from verifine.errors import ConfigError, ModelError
from verifine.launch.chat import ChatOptions, ChatSession, open_chat
from verifine.launch.chat_grading import scores_without_row
from verifine.launch.options import DEFAULT_OPTIONS
from verifine.runs.directory import RunDirectory
from verifine.testing.models import save_tiny_model
from verifine.testing.sessions import grade, tiny_run

ANSWER = {"type": "answer", "compare": "exact"}
FORM = {"type": "format", "pattern": "[a-z]"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, base: Path) -> RunDirectory:
    """A finished run with a built-in task: rows with a system message, and a grader that needs them."""
    folder = tmp_path_factory.mktemp("run")
    words = [
        f"model={base}",
        "model.precision=float32",
        "data.task=largest",
        "data.eval_size=3",
        "sampling.prompts_per_step=2",
        "sampling.group_size=2",
        "sampling.max_new_tokens=8",
        "optim.learning_rate=0.05",
        "run.steps=2",
        f"run.directory={folder / 'largest'}",
    ]
    return train(load_config(None, words), check=False).directory


@contextmanager
def chat(
    model: str, versus: str | None = None, *, system: str | None = None, max_tokens: int | None = None
) -> Iterator[tuple[ChatSession, ChatTalk, StringIO]]:
    screen = StringIO()
    options = ChatOptions(model=model, versus=versus, precision="float32", system=system, max_tokens=max_tokens)
    with open_chat(options, DEFAULT_OPTIONS) as session:
        yield session, ChatTalk(Console(file=screen, width=60), session, is_typed=False), screen


def test_a_row_is_answered_and_scored_whoever_asks_it(run: RunDirectory, tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "other", seed=1)
    with chat(str(run.path), str(other)) as (session, talk, screen):
        rows = session.grading.rows
        asked = talk.ask_row(rows[0])
        begun = screen.getvalue()
        session.reset()
        talk.listen([rows[0].messages[-1].content, "/quit", "never"])
        assert [each.grade is not None and each.grade.score is not None for each in asked] == [True, True]
        assert asked[0].reply != asked[1].reply
        assert screen.getvalue() == begun + begun
        assert session.opening == rows[0].messages[:3], "a system message and a worked example"
        assert session.answer_tokens == 8


def test_all_held_out_rows_are_summed_up(run: RunDirectory) -> None:
    with chat(str(run.path), "base") as (session, talk, screen):
        talk.ask_rows(session.grading.rows)
    assert screen.getvalue().count("reference:") == 3
    assert "(3 of 3 answers scored)" in screen.getvalue()


def test_words_that_begin_with_a_slash_are_obeyed(run: RunDirectory) -> None:
    with chat(str(run.path), system="Be brief.", max_tokens=3) as (_, talk, screen):
        talk.introduce(0.0)
        talk.listen(["Hi", "Hi", "/reset", "Hi", "/next", "/next", "/next", "/next", "/nxt", "/help"])
        shown = screen.getvalue()
    assert "up to 3 tokens" in shown
    assert "system: Be brief." in shown
    assert "answers to held-out rows (3 held-out rows)" in shown
    first, _, third = (part.partition("\n")[2].partition(" · ")[0] for part in shown.split("> Hi")[1:])
    assert first.split()[0] == third.split()[0]
    assert "there is no further held-out row" in shown
    assert "/nxt is unknown" in shown


def test_a_model_by_itself_is_not_scored_and_has_no_base(base: Path) -> None:
    with chat(str(base), max_tokens=3) as (session, talk, screen):
        talk.listen(["Hi", "x" * 5000, "/next"])
        assert session.names == ["tiny"]
    assert "there is no held-out row" in screen.getvalue()
    assert "score" not in screen.getvalue()
    assert "no answer: the prompt has 50" in screen.getvalue()
    with pytest.raises(ConfigError, match="base"), chat(str(base), "base"):
        pass
    with pytest.raises(ConfigError, match="itself"), chat(str(base), str(base)):
        pass


def test_a_base_whose_files_have_changed_is_no_base_any_more(tmp_path: Path, run: RunDirectory, base: Path) -> None:
    changed = RunDirectory(path=Path(shutil.copytree(run.path, tmp_path / "run")))
    other = Path(shutil.copytree(base, tmp_path / "other"))
    (other / "generation_config.json").write_text('{"eos_token_id": 2}')
    changed.config.write_text(changed.config.read_text().replace(str(base), str(other)))
    with pytest.raises(ModelError, match=f"{other} has other files"), chat(str(changed.path), "base"):
        pass


def test_a_run_whose_rows_or_grader_are_gone_is_talked_to_all_the_same(tmp_path: Path, base: Path) -> None:
    directory = train(tiny_run(tmp_path, base, run={"steps": 1}), grader=grade, check=False).directory
    (tmp_path / "data.jsonl").unlink()
    with chat(str(directory.path)) as (_, talk, screen):
        talk.introduce(0.0)
        talk.listen(["Hi"])
    assert "! the held-out rows cannot be read" in screen.getvalue()
    assert "! answers are not scored: a Python program graded the run" in screen.getvalue()
    assert "4 tokens" in screen.getvalue()


def test_a_grader_that_looks_at_nothing_but_the_answer_scores_every_answer() -> None:
    answer, form = AnswerGraderConfig.model_validate(ANSWER), FormatGraderConfig.model_validate(FORM)
    python = PythonGraderConfig.model_validate({"type": "python", "source": "def grade(sample, item): return 1.0"})
    weights = {"a": 0.5, "f": 0.5}
    both = WeightedGraderConfig.model_validate(
        {"type": "weighted", "graders": {"a": ANSWER, "f": FORM}, "weights": weights}
    )
    assert [scores_without_row(each) for each in (answer, form, python, both)] == [False, True, False, False]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "verifine", "chat", *words, "--precision", "float32", "--threads", "1"]


@pytest.mark.slow
def test_a_pipe_is_read_line_by_line(run: RunDirectory) -> None:
    given = b"Hi\n\n\xff\n/quit\nnever\n"
    ended = subprocess.run(command(str(run.path), "--vs", "base"), input=given, capture_output=True, check=True)
    lines = ended.stdout.decode().splitlines()
    assert [line for line in lines if line.startswith("> ")] == ["> Hi", "> \ufffd"]
    assert "largest: 8 tokens · cut off" in lines


@pytest.mark.slow
def test_ctrl_c_ends_an_answer_and_ctrl_d_the_program(run: RunDirectory) -> None:
    """In a terminal of its own, as a person would."""
    own, other = pty.openpty()
    with subprocess.Popen(
        command(str(run.path), "--vs", "base", "--max-tokens", "4000"),
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    ) as process:
        os.close(other)
        seen = b""

        def read_until(text: bytes) -> None:
            nonlocal seen
            while text not in seen:
                seen += os.read(own, 4096)
            seen = seen.partition(text)[2]

        try:
            read_until(b"Ctrl-D ends")
            os.write(own, b"Count\n")
            read_until(b"base tiny")
            process.send_signal(signal.SIGINT)
            read_until(b"stopped; this turn is forgotten")
            os.write(own, b"/next\n")
            read_until(b"reference:")
            read_until(b"> ")  # a Ctrl-D before the prompt is there can be lost
            os.write(own, b"\x04")
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
            os.close(own)
