"""The outcome of a call, from what its process wrote and how it ended. Nothing it wrote is trusted."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from verifine.data.strict_json import JsonError, parse_json
from verifine.graders.sandbox.call import Call, CallFault, Limits, Outcome
from verifine.graders.sandbox.exchange import Heard, Stop
from verifine.types import Json

MAX_MESSAGE_CHARACTERS = 500
_FAULTS = {fault.value: fault for fault in (CallFault.SOURCE, CallFault.RAISED, CallFault.MEMORY, CallFault.ANSWER)}
"""Faults that a process may report itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExit:
    """How a process ended."""

    code: int
    """Its exit code, or minus the number of the signal that ended it."""
    cpu_s: float


def outcome_of(call: Call, heard: Heard, ending: ProcessExit, limits: Limits) -> Outcome:
    """The outcome. Our own reason to stop takes precedence over what the process wrote."""
    said = _stopped(heard.stop, ending, limits) or _without_answer(heard.answer, ending, limits)
    value, fault, message = said or _said(call, heard.answer, limits)
    return Outcome(
        value=value,
        stdout=heard.output[: limits.output_bytes].decode(errors="replace"),
        fault=fault,
        message=_one_line(message[:MAX_MESSAGE_CHARACTERS]),
        seconds=heard.seconds,
    )


_Said = tuple[Json, CallFault | None, str]


def _stopped(stop: Stop, ending: ProcessExit, limits: Limits) -> _Said | None:
    match stop:
        case Stop.LATE:
            return None, CallFault.TIMEOUT, f"timed out after {limits.wall_s:g} s"
        case Stop.ANSWER_TOO_LARGE:
            return _too_much(limits)
        case Stop.OUTPUT_TOO_LARGE:
            return None, CallFault.ANSWER, f"it printed more than {limits.output_bytes} bytes"
        case _ if ending.code == -signal.SIGXCPU:
            return None, CallFault.TIMEOUT, f"timed out after {limits.cpu_s:g} s of computing"
        case _:
            return None


def _without_answer(answer: bytes, ending: ProcessExit, limits: Limits) -> _Said | None:
    if answer:
        return None
    if ending.code == -signal.SIGKILL and ending.cpu_s >= limits.cpu_s:
        return None, CallFault.TIMEOUT, f"timed out after {limits.cpu_s:g} s of computing"
    return None, CallFault.ENDED, f"its process ended by itself ({_ending(ending.code)})"


def _said(call: Call, answer: bytes, limits: Limits) -> _Said:
    word, _, text = answer.partition(b" ")
    try:
        value = parse_json(text.decode())
    except (JsonError, UnicodeDecodeError) as error:
        return None, CallFault.ANSWER, f"what it returned is not strict JSON: {error}"
    if word == b"value" and call.function is not None:
        return (value, None, "") if len(text.strip()) <= limits.answer_bytes else _too_much(limits)
    if word == b"done" and call.function is None and value is None:
        return None, None, ""
    fault = _FAULTS.get(word.decode(errors="replace"))
    if fault is None or not isinstance(value, str):
        return None, CallFault.ANSWER, "it wrote something else in place of its answer"
    return None, fault, value


def _one_line(text: str) -> str:
    """Without line breaks and other control characters."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _too_much(limits: Limits) -> _Said:
    return None, CallFault.ANSWER, f"it returned more than {limits.answer_bytes} bytes of JSON"


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
