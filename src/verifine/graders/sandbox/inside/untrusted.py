"""Runs one call of untrusted code in the process that was forked for it, and answers.

The call stands at the head of standard input: its length in four bytes, then JSON; what follows is the code's own.
The answer is a line, a word and JSON: `value 0.5`, `done null`, or a fault as in `raised "line 3: KeyError: 'x'"`.
"""

from __future__ import annotations

import atexit
import inspect
import json
import math
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from numbers import Integral, Real
from types import CodeType, ModuleType
from typing import Any, NoReturn

ANSWER_DESCRIPTOR = 3
LENGTH_BYTES = 4
MAX_DEPTH = 100
"""Lists and dicts inside each other in a returned value; what strict JSON allows."""
MAX_MESSAGE_CHARACTERS = 500
SOURCE_NAME = "<source>"

_OUT_OF_MEMORY = b'memory "MemoryError: it wanted more memory than it may have"\n'


class CallError(Exception):
    """Why there is no value: the kind of failure, and its message."""

    def __init__(self, word: str, message: str) -> None:
        super().__init__(message)
        self.word = word
        self.message = message


def answer_call() -> NoReturn:
    """Read the call, run it, answer, and end this process."""
    write, leave = os.write, os._exit  # kept here, since the code may replace them
    try:
        answer = _answer()
    except MemoryError:
        answer = _OUT_OF_MEMORY
    while answer:
        answer = answer[write(ANSWER_DESCRIPTOR, answer) :]
    leave(0)  # at once: threads that the code started must not keep the process alive


def _answer() -> bytes:
    dumps = json.dumps
    try:
        call = _receive_call()
        word, text = _run(call)
    except CallError as error:
        # Half a character would make the answer as a whole unreadable.
        message = error.message[:MAX_MESSAGE_CHARACTERS].encode(errors="replace").decode()
        word, text = error.word, dumps(message)
    return f"{word} {text}\n".encode()


def _receive_call() -> dict[str, Any]:
    length = int.from_bytes(_read(LENGTH_BYTES), "big")
    call: dict[str, Any] = json.loads(_read(length))
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    return call


def _read(size: int) -> bytes:
    pieces = []
    while size:
        piece = os.read(0, size)
        if not piece:
            raise CallError("raised", "the call did not arrive whole")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _run(call: dict[str, Any]) -> tuple[str, str]:
    """The word of the answer, and its JSON."""
    dumps = json.dumps
    try:
        if call["function"] is None:
            _run_program(call["source"])
            return "done", "null"
        function = _load(call["source"], call["function"])
        value = _call(function, call["function"], call["arguments"])
        try:
            return "value", dumps(_plain(value))
        except (CallError, MemoryError):
            raise
        except BaseException as error:
            raise CallError("answer", f"what it returned cannot be read: {_describe(error)}") from error
    finally:
        _flush()


def _run_program(source: str) -> None:
    """As `python program.py` would."""
    sys.argv = ["program.py"]
    code, module = _compile(source), _new_module("__main__")
    try:
        exec(code, module.__dict__)  # noqa: S102 - running it is what it is here for
    except SystemExit as end:
        if end.code not in (None, 0):
            raise CallError("raised", _describe(end)) from end
    except MemoryError:
        raise
    except BaseException as error:
        raise CallError("raised", _describe(error)) from error
    finally:
        _wind_up()


def _load(source: str, name: str) -> Callable[..., object]:
    code, module = _compile(source), _new_module("source")
    try:
        exec(code, module.__dict__)  # noqa: S102
    except MemoryError:
        raise
    except BaseException as error:
        raise CallError("source", _describe(error)) from error
    function = module.__dict__.get(name)
    if not callable(function):
        raise CallError("source", f"no function `{name}` is defined; add `def {name}(...): ...`")
    loaded: Callable[..., object] = function
    return loaded


def _call(function: Callable[..., object], name: str, arguments: list[object]) -> object:
    try:
        return function(*arguments)
    except MemoryError:
        raise
    except BaseException as error:
        if isinstance(error, TypeError) and not _accepts(function, arguments):
            signature = inspect.signature(function)
            message = f"`{name}{signature}` cannot be called with {len(arguments)} arguments"
            raise CallError("source", message) from error
        raise CallError("raised", _describe(error)) from error


def _accepts(function: Callable[..., object], arguments: list[object]) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a function without a signature that Python knows
        return True
    return True


def _compile(source: str) -> CodeType:
    try:
        return compile(source, SOURCE_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise CallError("source", _describe(error)) from error


def _new_module(name: str) -> ModuleType:
    # A module of its own in sys.modules: dataclasses and pickle look their classes up there.
    module = ModuleType(name)
    sys.modules[name] = module
    return module


def _wind_up() -> None:
    """What an interpreter does at the end of a program: wait for its threads, then call what it registered."""
    threading = sys.modules.get("threading")
    with suppress(Exception):
        if threading is not None:
            threading._shutdown()
        atexit._run_exitfuncs()


def _flush() -> None:
    for stream in (sys.stdout, sys.__stdout__):
        with suppress(Exception):
            if stream is not None:
                stream.flush()


def _plain(value: object, depth: int = 0) -> object:
    """The value as plain JSON. Subclasses become their base types; anything else is refused."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _finite(value)
    if depth == MAX_DEPTH:
        raise CallError("answer", f"it returned a value nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, list | tuple):
        return [_plain(each, depth + 1) for each in value]
    if isinstance(value, dict):
        return {_key(key): _plain(each, depth + 1) for key, each in value.items()}
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return _plain(value.tolist(), depth + 1)
    raise CallError("answer", f"it returned {type(value).__name__}, which is not JSON; return a number, text or a list")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise CallError("answer", f"it returned a dict with a key of {type(key).__name__}; the keys of JSON are text")
    return str.__str__(key)


def _finite(value: Real) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise CallError("answer", "it returned a number that is too large") from None
    if not math.isfinite(number):
        raise CallError("answer", f"it returned {number}, which is not finite")
    return float.__float__(number)


def _describe(error: BaseException) -> str:
    """The last line of the traceback, and the line of the source it comes from."""
    last = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError) and error.filename == SOURCE_NAME:
        return f"line {error.lineno}: {last}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == SOURCE_NAME]
    return f"line {lines[-1]}: {last}" if lines else last
