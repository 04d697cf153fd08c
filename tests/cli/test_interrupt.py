from __future__ import annotations

import signal

import pytest

from verifine.cli.interrupt import Interrupt


def test_the_first_signal_asks_and_the_second_stops_at_once() -> None:
    announced: list[str] = []
    with pytest.raises(KeyboardInterrupt), Interrupt(lambda: announced.append("stopping")) as interrupt:
        assert not interrupt.requested
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested
        assert announced == ["stopping"]
        signal.raise_signal(signal.SIGINT)


def test_the_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt(lambda: None):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
