from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from verifine.errors import GraderError
from verifine.graders.remote import Clock, HttpFailure, HttpFailureKind, HttpReply, HttpRequest, RemoteClient
from verifine.graders.remote.client import MAX_REQUEST_BYTES

if TYPE_CHECKING:
    from tests.graders.remote.conftest import Answer, Seen, StubService

MakeClient = Callable[..., RemoteClient]


def ask(service: StubService, *bodies: bytes) -> list[HttpRequest]:
    return [HttpRequest(url=f"{service.url}/v1/x", body=body) for body in bodies]


def numbered(service: StubService, count: int) -> list[HttpRequest]:
    return ask(service, *(str(number).encode() for number in range(count)))


def post(client: RemoteClient, request: HttpRequest) -> HttpReply | HttpFailure:
    (answer,) = client.post_all([request])
    return answer


def failed(answer: HttpReply | HttpFailure) -> HttpFailure:
    assert isinstance(answer, HttpFailure)
    return answer


def replied(answer: HttpReply | HttpFailure) -> HttpReply:
    assert isinstance(answer, HttpReply)
    return answer


def test_a_reply_is_the_json_and_the_request_is_what_was_given(service: StubService, make_client: MakeClient) -> None:
    service.answers(service.answer({"a": [1, "é"]}, status=201))
    answer = post(make_client(headers={"authorization": "Bearer k"}), ask(service, b'{"q":"\xc3\xa9"}')[0])
    assert replied(answer).value == {"a": [1, "é"]}
    (seen,) = service.seen
    assert (seen.path, seen.body) == ("/v1/x", b'{"q":"\xc3\xa9"}')
    wanted = {"content-type": "application/json", "authorization": "Bearer k", "accept-encoding": "identity"}
    assert wanted.items() <= seen.headers.items()


def test_nothing_to_ask_asks_nothing(service: StubService, make_client: MakeClient) -> None:
    assert make_client().post_all([]) == []
    assert service.connections == 0


def test_answers_stand_in_the_order_of_the_requests_whatever_time_each_takes(
    service: StubService, make_client: MakeClient
) -> None:
    draw = random.Random(0)
    delays = [draw.uniform(0, 0.02) for _ in range(60)]

    def respond(seen: Seen) -> Answer:
        time.sleep(delays[seen.json])
        return service.answer(seen.json) if seen.json % 5 else service.answer(status=400)

    service.respond = respond
    answers = make_client(max_concurrency=8).post_all(numbered(service, 60))
    assert [answer.value if isinstance(answer, HttpReply) else None for answer in answers] == [
        number if number % 5 else None for number in range(60)
    ]


@pytest.mark.parametrize("bound", [1, 4])
def test_as_many_requests_are_under_way_as_the_service_bears_and_no_more(
    service: StubService, make_client: MakeClient, bound: int
) -> None:
    together = threading.Barrier(bound)  # answers only when `bound` requests wait for it

    def respond(seen: Seen) -> Answer:
        together.wait(timeout=10)
        return service.answer(seen.json)

    service.respond = respond
    answers = make_client(max_concurrency=bound).post_all(numbered(service, 4 * bound))
    assert [replied(answer).value for answer in answers] == list(range(4 * bound))
    assert service.most_under_way == bound


def test_the_bound_holds_for_all_threads_together_and_connections_are_shared(
    service: StubService, make_client: MakeClient
) -> None:
    client = make_client(max_concurrency=3)
    results: dict[int, list[object]] = {}

    def respond(seen: Seen) -> Answer:
        time.sleep(0.002)
        return service.answer(seen.json)

    def grade(thread: int) -> None:
        results[thread] = [replied(each).value for each in client.post_all(numbered(service, 10))]

    service.respond = respond
    threads = [threading.Thread(target=grade, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {thread: list(range(10)) for thread in range(4)}
    assert service.most_under_way <= 3
    assert service.connections <= 3


def test_a_server_error_is_tried_again_with_growing_pauses(
    service: StubService, make_client: MakeClient, pauses: list[float]
) -> None:
    service.answers(service.answer(status=500), service.answer(status=503), service.answer("there"))
    assert replied(post(make_client(), ask(service, b"1")[0])).value == "there"
    assert len(service.seen) == 3
    assert 0.375 < pauses[0] <= 0.5
    assert 0.75 < pauses[1] <= 1.0


def test_the_server_says_how_long_to_wait(service: StubService, make_client: MakeClient, pauses: list[float]) -> None:
    busy = service.answer(status=429, headers={"retry-after-ms": "1234", "retry-after": "77"})
    dated = service.answer(status=503, headers={"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"})  # 30 s after NOW
    service.answers(busy, service.answer(status=429, headers={"retry-after": "7"}), dated, service.answer(1))
    assert replied(post(make_client(), ask(service, b"1")[0])).value == 1
    assert pauses == [1.234, 7, 30]


def test_a_reset_connection_is_tried_again(service: StubService, make_client: MakeClient, pauses: list[float]) -> None:
    service.answers(service.answer(resets=True), service.answer("there"))
    assert replied(post(make_client(), ask(service, b"1")[0])).value == "there"
    assert len(pauses) == 1


def test_a_service_that_goes_on_failing_is_given_up_on(
    service: StubService, make_client: MakeClient, pauses: list[float]
) -> None:
    service.answers(service.answer({"error": {"message": "out of\nmemory", "code": "oom"}}, status=500))
    failure = failed(post(make_client(max_retries=2), ask(service, b"1")[0]))
    assert (failure.kind, failure.status, failure.detail, failure.code) == (
        HttpFailureKind.STATUS,
        500,
        "out of memory",
        "oom",
    )
    assert failure.message == f"{service.url} answered with status 500: out of memory (tried 3 times)"
    assert (len(service.seen), len(pauses)) == (3, 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_would_fail_again_is_not_tried_again(
    service: StubService, make_client: MakeClient, pauses: list[float], status: int
) -> None:
    service.answers(service.answer({"detail": [{"loc": ["body", "model"]}]}, status=status))
    failure = failed(post(make_client(), ask(service, b"1")[0]))
    assert (failure.status, failure.detail) == (status, '[{"loc": ["body", "model"]}]')
    assert (len(service.seen), pauses) == (1, [])


def test_the_server_has_the_last_word_on_trying_again(service: StubService, make_client: MakeClient) -> None:
    service.answers(service.answer(status=409, headers={"x-should-retry": "false"}))
    assert failed(post(make_client(), ask(service, b"1")[0])).status == 409
    assert len(service.seen) == 1
    service.answers(service.answer(status=400, headers={"x-should-retry": "true"}), service.answer(1))
    assert replied(post(make_client(), ask(service, b"1")[0])).value == 1


@pytest.mark.parametrize("part", ["headers", "body"])
def test_an_answer_that_drips_in_is_cut_off_and_the_next_request_goes_through(
    service: StubService, make_client: MakeClient, part: str
) -> None:
    service.answers(service.answer(drips=part))
    client = make_client(timeout_s=0.2, max_retries=1)
    failure = failed(post(client, ask(service, b"1")[0]))
    assert failure.kind is HttpFailureKind.TIMEOUT
    assert "did not answer within 0.2 s" in failure.message
    assert len(service.seen) == 2
    service.answers(service.answer("back"))
    assert replied(post(client, ask(service, b"1")[0])).value == "back"


def test_a_server_that_hangs_is_given_up_on_for_the_rest_of_the_batch_only(
    service: StubService, make_client: MakeClient
) -> None:
    service.answers(service.answer(drips="body"))
    client = make_client(timeout_s=0.2, max_concurrency=4, max_retries=1)
    failures = [failed(answer) for answer in client.post_all(numbered(service, 30))]
    assert {failure.kind for failure in failures} == {HttpFailureKind.TIMEOUT}
    asked = [failure for failure in failures if "was not asked" not in failure.message]
    assert 8 <= len(asked) <= 8 + 3, "those that were under way with the eighth still end"
    assert len(service.seen) == 2 * len(asked)
    service.answers(service.answer(1))
    assert replied(post(client, ask(service, b"1")[0])).value == 1


def test_requests_that_are_late_now_and_then_do_not_end_a_batch(service: StubService, make_client: MakeClient) -> None:
    service.respond = lambda seen: service.answer(1) if seen.json == 4 else service.answer(drips="body")
    client = make_client(timeout_s=0.2, max_concurrency=1, max_retries=0)
    answers = client.post_all(numbered(service, 10))
    assert [isinstance(answer, HttpReply) for answer in answers] == [number == 4 for number in range(10)]
    assert len(service.seen) == 10, "nine were late, but no eight in a row"


def test_a_long_answer_is_not_read_to_its_end(service: StubService, make_client: MakeClient) -> None:
    longest = b'"' + b"a" * 998 + b'"'
    service.answers(service.answer(body=longest), service.answer(body=longest + b" "))
    client = make_client(max_reply_bytes=1000)
    assert replied(post(client, ask(service, b"1")[0])).value == "a" * 998
    failure = failed(post(client, ask(service, b"1")[0]))
    assert (failure.kind, failure.message) == (
        HttpFailureKind.TOO_LARGE,
        f"{service.url} answered with more than 1000 bytes",
    )
    assert len(service.seen) == 2


def test_an_endless_answer_ends_at_the_limit(service: StubService, make_client: MakeClient) -> None:
    service.answers(service.answer(drips="body"))
    client = make_client(max_reply_bytes=5, clock=Clock())  # which is in no hurry
    assert failed(post(client, ask(service, b"1")[0])).kind is HttpFailureKind.TOO_LARGE


@pytest.mark.parametrize("body", [b"", b"<html>", b"NaN", b'{"a":1,"a":2}', b"\xff", b"[" * 900])
def test_what_is_not_strict_json_is_a_failure_and_not_tried_again(
    service: StubService, make_client: MakeClient, body: bytes
) -> None:
    service.answers(service.answer(body=body))
    failure = failed(post(make_client(), ask(service, b"1")[0]))
    assert failure.kind is HttpFailureKind.NOT_JSON
    assert len(service.seen) == 1


def test_a_packed_answer_is_not_unpacked(service: StubService, make_client: MakeClient) -> None:
    service.answers(service.answer(body=b"{}", headers={"content-encoding": "gzip"}))
    assert failed(post(make_client(), ask(service, b"1")[0])).kind is HttpFailureKind.NOT_JSON


def test_a_redirect_is_not_followed(service: StubService, make_client: MakeClient) -> None:
    service.answers(service.answer(status=307, headers={"location": f"{service.url}/elsewhere"}))
    failure = failed(post(make_client(), ask(service, b"1")[0]))
    assert (failure.status, len(service.seen)) == (307, 1)
    assert "give the final address" in failure.message


def test_cookies_are_not_kept(service: StubService, make_client: MakeClient) -> None:
    service.answers(service.answer(1, headers={"set-cookie": "a=b"}))
    client = make_client()
    client.post_all(ask(service, b"1", b"2"))
    client.post_all(ask(service, b"3"))
    assert not any("cookie" in seen.headers for seen in service.seen)


def test_a_request_that_is_too_long_is_not_sent(service: StubService, make_client: MakeClient) -> None:
    failure, answer = make_client().post_all(ask(service, b" " * (MAX_REQUEST_BYTES + 1), b"1"))
    assert failed(failure).kind is HttpFailureKind.TOO_LARGE
    assert replied(answer).value == {}
    assert len(service.seen) == 1


def test_a_service_that_is_not_there_is_a_failure_that_says_so(
    service: StubService, make_client: MakeClient, pauses: list[float]
) -> None:
    service.end()
    failure = failed(post(make_client(max_retries=1), ask(service, b"1")[0]))
    assert failure.kind is HttpFailureKind.CONNECTION
    assert failure.message.startswith(f"{service.url} cannot be reached (")
    assert failure.message.endswith(" (tried 2 times)")
    assert len(pauses) == 1


def test_a_key_that_the_server_repeats_is_not_repeated_by_us(service: StubService, make_client: MakeClient) -> None:
    key = "sk-" + "a1" * 20
    # Long enough that cutting it short would leave half the key at the end.
    told = f"{'x' * 250} Incorrect API key provided: {key}"
    service.answers(
        service.answer({"error": {"message": told}}, status=401),
        service.answer(body=f'{{"{key}":1,"{key}":2}}'.encode()),
    )
    client = make_client(headers={"authorization": f"Bearer {key}"}, secrets=(key,))
    refused, broken = (failed(post(client, ask(service, b"1")[0])) for _ in range(2))
    for failure in (refused, broken):
        assert "a1" not in repr(failure)
    assert "check the key that is sent" in refused.message
    assert '"[secret]" stands twice' in broken.message


def test_no_text_of_a_server_reaches_the_terminal_as_a_command(service: StubService, make_client: MakeClient) -> None:
    service.answers(service.answer(body=b"\x1b[2Jgone\r\n\x00" + b"y" * 800, status=400))
    detail = failed(post(make_client(), ask(service, b"1")[0])).detail
    assert detail.isprintable()
    assert len(detail) <= 300


def test_proxies_of_the_environment_are_not_asked_for_this_machine(
    service: StubService, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert replied(post(make_client(max_retries=0), ask(service, b"1")[0])).value == {}


def test_other_machines_are_asked_by_way_of_the_environments_proxy(
    service: StubService, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", service.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    request = HttpRequest(url="http://judge.invalid/v1/x", body=b"1")
    assert replied(post(make_client(url="http://judge.invalid/v1"), request)).value == {}
    assert service.seen[0].path == "http://judge.invalid/v1/x"


def test_a_proxy_that_cannot_be_used_is_told_when_the_client_is_made(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://127.0.0.1")
    with pytest.raises(GraderError, match=r"^http://judge\.invalid/v1 cannot be asked through .* proxy: "):
        make_client(url="http://judge.invalid/v1")


def test_a_closed_client_has_no_thread_and_no_connection_and_says_so(
    service: StubService, make_client: MakeClient
) -> None:
    client = make_client()
    before = threading.active_count()
    client.post_all(ask(service, b"1"))
    client.close()
    client.close()
    assert not any(thread.name == "verifine-remote" for thread in threading.enumerate())
    assert threading.active_count() <= before + 1  # the stub's own for the connection may still end
    with pytest.raises(GraderError, match="its grader is closed"):
        client.post_all(ask(service, b"1"))


def test_a_client_that_was_never_asked_closes(make_client: MakeClient) -> None:
    before = threading.active_count()
    make_client().close()
    assert threading.active_count() == before


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """A shell starts what it puts into the background with SIGINT ignored, the tests too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_ends_the_requests_under_way(service: StubService, make_client: MakeClient) -> None:
    client = make_client(max_concurrency=1, timeout_s=600, clock=Clock())

    def respond(seen: Seen) -> Answer:
        if seen.json == 5:
            return service.answer(5)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return service.answer(drips="body")

    service.respond = respond
    with pytest.raises(KeyboardInterrupt):
        client.post_all(numbered(service, 3))
    assert replied(post(client, ask(service, b"5")[0])).value == 5, "the slot is free again"
    assert len(service.seen) == 2
