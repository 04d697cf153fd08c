"""`verifine chat`: talk to a model, or to two side by side."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Annotated, Literal

import typer

from verifine.cli.options import UnsafeGraderExec, warn_of


def chat_command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|CHECKPOINT|MODEL",
            help="A run directory, a checkpoint in one, a catalogue name, a hub id or a folder.",
        ),
    ],
    versus: Annotated[
        str | None,
        typer.Option("--vs", metavar="base|RUN|MODEL", help="Who answers beside it; base: what the run started from."),
    ] = None,
    held_out: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Ask the first N held-out rows of the run, one by one, and end."),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            "--system", "-s", help="Begin with this message ('': none), not with what all rows of the run have."
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0: greedy, as in evaluations.")] = 0.0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer; else as in the run.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="The most threads to compute with, beside a run that trains.")
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="The type of matrix products; auto: the faster one.")
    ] = "auto",
    unsafe_grader_exec: UnsafeGraderExec = False,
) -> None:
    """Talk to a model in the terminal; with --vs to two, which answer the same side by side.

    The grader of the run scores answers to its held-out rows, and all answers if it needs no reference. Questions come
    from the keyboard, or line by line from a pipe. /next asks a held-out row, /reset forgets what was said, /quit ends.
    """
    from rich.console import Console

    from verifine.cli.chat_talk import ChatTalk
    from verifine.cli.display import make_display
    from verifine.errors import ConfigError
    from verifine.launch.chat import ChatOptions, open_chat
    from verifine.launch.options import LaunchOptions

    options = ChatOptions(
        model=model,
        versus=versus,
        system=system,
        temperature=temperature,
        max_tokens=max_tokens,
        threads=threads,
        precision=precision,
    )
    warn_of(unsafe_grader_exec)
    display = make_display(sys.stderr, as_json=False)
    launch = LaunchOptions(listeners=[display], unsafe_grader_exec=unsafe_grader_exec)
    with ExitStack() as stack:
        with display:
            session = stack.enter_context(open_chat(options, launch))
        if held_out is not None and not session.grading.rows:
            raise ConfigError(f"--held-out: {model} has no held-out rows; leave it out, and type")
        is_typed = sys.stdin.isatty() and held_out is None
        talk = ChatTalk(Console(highlight=False), session, is_typed=is_typed)
        talk.introduce(options.temperature)
        if held_out is not None:
            talk.ask_rows(session.grading.rows[:held_out])
        else:
            talk.listen(_typed_lines() if is_typed else _piped_lines())


def _typed_lines() -> Iterator[str]:
    """What is typed, with the keys of readline where Python has it. Ctrl-C drops a line."""
    with suppress(ImportError):
        import readline  # noqa: F401 - it gives `input` its keys and its history
    _take_any_text()
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("\nCtrl-D or /quit ends")
            continue
        if line:
            yield line


def _piped_lines() -> Iterator[str]:
    _take_any_text()
    for line in sys.stdin:
        if line.strip():
            yield line.strip()


def _take_any_text() -> None:
    """Bytes that are no text become question marks, not an error."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
