from __future__ import annotations

import json
import signal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verifine.graders.sandbox.call import Call, CallFault, Limits, Outcome
from verifine.graders.sandbox.call_outcome import ProcessExit, outcome_of
from verifine.graders.sandbox.exchange import Heard, Stop
from verifine.types import Json

SAID_OF_ITSELF = {None, CallFault.SOURCE, CallFault.RAISED, CallFault.MEMORY, CallFault.ANSWER}


FUNCTION, PROGRAM = Call(source="", function="f"), Call(source="")


def judged(
    answer: bytes = b"", *, call: Call = FUNCTION, stop: Stop = Stop.ANSWERED, code: int = 0, cpu_s: float = 0.0
) -> Outcome:
    heard = Heard(stop=stop, answer=answer, output=b"hi", seconds=0.1)
    return outcome_of(call, heard, ProcessExit(code=code, cpu_s=cpu_s), Limits())


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (b"value 0.5\n", 0.5),
        (b"value null\n", None),
        (b'value {"a": [1, "x"]}\n', {"a": [1, "x"]}),
    ],
)
def test_a_proper_answer_is_the_value(answer: bytes, value: Json) -> None:
    assert judged(answer) == Outcome(value=value, stdout="hi", seconds=0.1)


def test_a_program_is_done_and_has_no_value() -> None:
    assert judged(b"done null\n", call=PROGRAM) == Outcome(stdout="hi", seconds=0.1)
    for call, answer in ((PROGRAM, b"value 1.0\n"), (PROGRAM, b"value null\n"), (FUNCTION, b"done null\n")):
        outcome = judged(answer, call=call)
        assert (outcome.fault, outcome.value) == (CallFault.ANSWER, None)


def test_a_value_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert judged(b'value "' + b"x" * (65536 - 2) + b'"\n').fault is None
    outcome = judged(b'value "' + b"x" * (65536 - 1) + b'"\n')
    assert (outcome.value, outcome.fault) == (None, CallFault.ANSWER)
    assert outcome.message == "it returned more than 65536 bytes of JSON"


@pytest.mark.parametrize("code", [0, 1, -signal.SIGKILL, -signal.SIGSEGV])
def test_an_answer_counts_however_the_process_ended(code: int) -> None:
    assert judged(b"value 1\n", code=code).value == 1


@pytest.mark.parametrize(
    ("stop", "fault", "message"),
    [
        (Stop.LATE, CallFault.TIMEOUT, "timed out after 5 s"),
        (Stop.ANSWER_TOO_LARGE, CallFault.ANSWER, "it returned more than 65536 bytes of JSON"),
        (Stop.OUTPUT_TOO_LARGE, CallFault.ANSWER, "it printed more than 65536 bytes"),
    ],
)
def test_our_reason_to_stop_goes_before_an_answer(stop: Stop, fault: CallFault, message: str) -> None:
    outcome = judged(b"value 1\n", stop=stop)
    assert (outcome.value, outcome.fault, outcome.message) == (None, fault, message)


@pytest.mark.parametrize(
    ("code", "cpu_s", "fault", "message"),
    [
        (0, 0.0, CallFault.ENDED, "its process ended by itself (exit code 0)"),
        (3, 9.0, CallFault.ENDED, "its process ended by itself (exit code 3)"),
        (-11, 0.0, CallFault.ENDED, "its process ended by itself (signal SIGSEGV)"),
        (-9, 0.1, CallFault.ENDED, "its process ended by itself (signal SIGKILL)"),
        (-9, 5.5, CallFault.TIMEOUT, "timed out after 5 s of computing"),
        (-24, 5.0, CallFault.TIMEOUT, "timed out after 5 s of computing"),
        (-40, 0.0, CallFault.ENDED, "its process ended by itself (signal 40)"),
    ],
)
def test_without_an_answer_the_end_of_the_process_tells(
    code: int, cpu_s: float, fault: CallFault, message: str
) -> None:
    outcome = judged(code=code, cpu_s=cpu_s)
    assert (outcome.fault, outcome.message) == (fault, message)


def test_a_message_is_one_line_and_leaves_the_terminal_alone() -> None:
    outcome = judged(b"raised " + json.dumps("ValueError: a\nb\x1b[2J\r\u202e\x07" + "x" * 900).encode())
    assert outcome.fault is CallFault.RAISED
    assert outcome.message.startswith("ValueError: a b [2J")
    assert outcome.message.isprintable()
    assert len(outcome.message) <= 500


def test_output_that_is_no_text_is_shown_as_far_as_it_is() -> None:
    heard = Heard(stop=Stop.ANSWERED, answer=b"done null\n", output=b"a\xffb", seconds=0.1)
    assert outcome_of(PROGRAM, heard, ProcessExit(code=0, cpu_s=0.0), Limits()).stdout == "a\ufffdb"


WORDS = st.sampled_from(
    [b"value", b"done", b"raised", b"source", b"memory", b"answer", b"timeout", b"ended", b"sandbox", b""]
)
TEXTS = st.sampled_from(
    [b"NaN", b"1e999", b'{"a":1,"a":1}', b"[" * 500, b'"\\ud800"', b"9" * 5000, b"null", b'"x"', b"1.5", b"true"]
)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda word, text, end: word + b" " + text + end, WORDS, TEXTS, st.binary(max_size=3)),
    )
)
@example(b"value " + b"[" * 60_000)
@example(b"value [" + b"[]," * 20_000 + b"[]]")
def test_whatever_is_said_becomes_plain_json_or_a_fault(answer: bytes) -> None:
    outcome = judged(answer)
    assert outcome.fault in SAID_OF_ITSELF | {CallFault.ENDED}
    assert outcome.fault is None or outcome.value is None
    assert json.loads(json.dumps(outcome.value, allow_nan=False)) == outcome.value
    assert (outcome.fault is CallFault.ENDED) == (not answer)
