from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psutil
import pytest

from verifine.graders.sandbox.exchange import Bounds, Exchange, Stop

MEGABYTE = 1 << 20
Process = Callable[[int, int, int], None]


@pytest.fixture
def worker() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def talk(
    request: bytes,
    process: Process,
    *,
    worker: int,
    wall_s: float = 60.0,
    limit: int = 100,
    over: threading.Event | None = None,
) -> tuple[Stop, bytes, bytes]:
    """A talk with a thread that plays the process; `over` is set when it has ended, or when it was given up."""
    over = over or threading.Event()
    bounds = Bounds(deadline=time.monotonic() + wall_s, answer_bytes=limit, output_bytes=limit)
    with closing(Exchange(request, bounds)) as exchange:
        theirs = [os.dup(each) for each in exchange.theirs]
        exchange.give_away()

        def play() -> None:
            try:
                process(*theirs)
            except BrokenPipeError:
                pass
            finally:
                for each in theirs:
                    os.close(each)

        thread = threading.Thread(target=play)
        thread.start()
        stop = exchange.talk(worker)
        if stop is Stop.ANSWERED:
            thread.join()
        heard = exchange.take_rest(stop, 0.0)
        over.set()
    thread.join()
    return heard.stop, heard.answer, heard.output


def read_all(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 1 << 16), b""))


def test_much_goes_both_ways_at_once(worker: tuple[socket.socket, socket.socket]) -> None:
    def process(stdin: int, stdout: int, answer: int) -> None:
        while piece := os.read(stdin, 1 << 16):
            unsent = piece
            while unsent:
                unsent = unsent[os.write(stdout, unsent) :]
        os.write(answer, b"value 1\n")

    request = os.urandom(3 * MEGABYTE)
    assert talk(request, process, worker=worker[0].fileno(), limit=4 * MEGABYTE) == (
        Stop.ANSWERED,
        b"value 1\n",
        request,
    )


def test_input_that_nobody_reads_is_no_obstacle(worker: tuple[socket.socket, socket.socket]) -> None:
    def process(stdin: int, stdout: int, answer: int) -> None:
        os.write(answer, b"value 1\n")

    assert talk(bytes(MEGABYTE), process, worker=worker[0].fileno())[:2] == (Stop.ANSWERED, b"value 1\n")


def test_what_was_printed_before_the_end_is_heard(worker: tuple[socket.socket, socket.socket]) -> None:
    def process(stdin: int, stdout: int, answer: int) -> None:
        os.write(stdout, b"out")

    assert talk(b"", process, worker=worker[0].fileno()) == (Stop.ANSWERED, b"", b"out")


def test_an_answer_in_pieces_is_put_together(worker: tuple[socket.socket, socket.socket]) -> None:
    def process(stdin: int, stdout: int, answer: int) -> None:
        for piece in (b"val", b"ue ", b"1\n"):
            os.write(answer, piece)
            time.sleep(0.01)
        read_all(stdin)

    assert talk(b"x", process, worker=worker[0].fileno())[:2] == (Stop.ANSWERED, b"value 1\n")


def test_silence_ends_at_the_deadline(worker: tuple[socket.socket, socket.socket]) -> None:
    over = threading.Event()

    def process(stdin: int, stdout: int, answer: int) -> None:
        over.wait()

    assert talk(b"", process, worker=worker[0].fileno(), wall_s=0.05, over=over)[0] is Stop.LATE


@pytest.mark.parametrize(("place", "stop"), [(1, Stop.OUTPUT_TOO_LARGE), (2, Stop.ANSWER_TOO_LARGE)])
def test_too_much_is_not_taken(worker: tuple[socket.socket, socket.socket], place: int, stop: Stop) -> None:
    def process(*ends: int) -> None:
        while True:
            os.write(ends[place], bytes(50_000))

    found, answer, output = talk(b"", process, worker=worker[0].fileno())
    assert found is stop
    assert len(answer) + len(output) < 3 * MEGABYTE  # what the pipes hold, not what was sent


def test_a_worker_that_speaks_up_ends_the_talk(worker: tuple[socket.socket, socket.socket]) -> None:
    over = threading.Event()

    def process(stdin: int, stdout: int, answer: int) -> None:
        worker[1].send(b"x")
        over.wait()

    assert talk(b"", process, worker=worker[0].fileno(), over=over)[0] is Stop.WORKER


def test_no_descriptor_is_left() -> None:
    before = psutil.Process().num_fds()
    for _ in range(3):
        with closing(Exchange(b"x", Bounds(deadline=0.0, answer_bytes=1, output_bytes=1))) as exchange:
            exchange.give_away()
    assert psutil.Process().num_fds() == before
