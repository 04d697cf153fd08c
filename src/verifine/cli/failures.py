"""What the command prints when something goes wrong: one message, what to do, and no traceback."""

from __future__ import annotations

import io
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from verifine.errors import StoppedError, VerifineError, full_message
from verifine.machine.failures import describe_exception, describe_traceback, explain_failure, keep_traceback
from verifine.machine.secrets import find_secrets, mask

TRACEBACK = "VERIFINE_TRACEBACK"
"""An environment variable: if it is 1, tracebacks are printed as well."""

READER_GONE = 141
"""The exit code that a shell shows for a program whose output is not read any more, as in `verifine doctor | head`."""


class Verbs(TyperGroup):
    """The verbs, without typer's own way to end them."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise StoppedError("stopped") from None
        except BrokenPipeError:
            _discard_output()
            raise typer.Exit(READER_GONE) from None


@contextmanager
def one_message_for_each_failure(environment: Mapping[str, str]) -> Iterator[None]:
    """Turns every exception into a message on standard error and an exit code, also of other threads.

    A traceback goes into a file; with VERIFINE_TRACEBACK=1 it is printed as well.
    """
    _escape_unprintable()
    hook, threading.excepthook = threading.excepthook, lambda args: _tell_thread(args, environment)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(StoppedError.exit_code)
    except Exception as error:  # noqa: BLE001 - the last place that can tell the user
        told = error if isinstance(error, VerifineError) else _explain(error, environment)
        if environment.get(TRACEBACK) == "1":
            traceback.print_exception(error)
        _tell(full_message(told), environment)
        sys.exit(told.exit_code)
    finally:
        threading.excepthook = hook
        _flush_output()


def _explain(error: Exception, environment: Mapping[str, str]) -> VerifineError:
    told = explain_failure(error)
    told.add_note(describe_traceback(keep_traceback(error, environment)))
    return told


def _tell_thread(args: threading.ExceptHookArgs, environment: Mapping[str, str]) -> None:
    error = args.exc_value
    if error is None or isinstance(error, SystemExit):
        return
    if environment.get(TRACEBACK) == "1":
        traceback.print_exception(error)
    thread = "a thread" if args.thread is None else f"the thread {args.thread.name}"
    place = describe_traceback(keep_traceback(error, environment))
    _tell(f"{thread} ended with an unexpected error ({describe_exception(error)}). {place}", environment)


def _tell(message: str, environment: Mapping[str, str]) -> None:
    print(f"verifine: {mask(message, find_secrets(environment))}", file=sys.stderr)


def _escape_unprintable() -> None:
    """Lets a terminal of any encoding show any text, instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush_output() -> None:
    """Python flushes when it exits, and would print a traceback if that fails."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()


def _discard_output() -> None:
    """What is still to be printed is discarded."""
    output = sys.__stdout__
    if output is not None and sys.stdout is output:  # not where a test has put something else in its place
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
