from __future__ import annotations

import signal

import pytest

from verifine.cli.interrupt import Interrupt
from verifine.runs.requests import RunRequest


def test_the_first_signal_asks_and_the_second_stops_at_once() -> None:
    announced: list[RunRequest] = []
    with pytest.raises(KeyboardInterrupt), Interrupt(announced.append) as interrupt:
        assert interrupt.request is None
        signal.raise_signal(signal.SIGINT)
        assert interrupt.request is RunRequest.STOP
        assert announced == [RunRequest.STOP]
        signal.raise_signal(signal.SIGINT)


def test_a_machine_that_is_taken_away_asks_for_a_pause() -> None:
    with Interrupt(lambda _: None) as interrupt:
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.request is RunRequest.PAUSE


def test_the_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt(lambda _: None):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
