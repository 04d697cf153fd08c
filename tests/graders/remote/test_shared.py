from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config.grading import ServiceConfig
from verifine.errors import GraderError
from verifine.graders.remote import HttpRequest, Recent, RemoteClient, SharedClients

MakeClient = Callable[..., RemoteClient]
SERVER = ServiceConfig(base_url="http://127.0.0.1:1/v1")


def is_closed(client: RemoteClient) -> bool:
    try:
        client.post_all([])
    except GraderError:
        return True
    return False


def test_who_asks_the_same_server_shares_a_client_and_others_do_not(make_client: MakeClient) -> None:
    clients = SharedClients()
    first, second = clients.lease(SERVER, make_client), clients.lease(SERVER, make_client)
    other = clients.lease(ServiceConfig(base_url="http://127.0.0.1:2/v1"), make_client)
    assert first.client is second.client
    assert other.client is not first.client


def test_the_last_lease_that_is_given_back_closes_the_client(make_client: MakeClient) -> None:
    clients = SharedClients()
    first, second = clients.lease(SERVER, make_client), clients.lease(SERVER, make_client)
    first.close()
    first.close()
    assert not is_closed(second.client), "giving back twice counts once"
    second.close()
    assert is_closed(second.client)


def test_after_the_last_one_there_is_a_new_client(make_client: MakeClient) -> None:
    clients = SharedClients()
    first = clients.lease(SERVER, make_client)
    first.close()
    second = clients.lease(SERVER, make_client)
    assert second.client is not first.client
    assert not is_closed(second.client)


def test_a_client_that_cannot_be_made_leaves_nothing_behind(make_client: MakeClient) -> None:
    def fail() -> RemoteClient:
        raise GraderError("no")

    clients = SharedClients()
    with pytest.raises(GraderError):
        clients.lease(SERVER, fail)
    lease = clients.lease(SERVER, make_client)
    lease.close()
    assert is_closed(lease.client)


def test_a_request_does_not_show_its_body() -> None:
    assert "private" not in repr(HttpRequest(url="http://a", body=b"private"))


def test_what_was_not_asked_for_longest_goes_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]


@given(puts=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12))))
def test_what_is_held_never_exceeds_the_limit_and_the_newest_is_held_if_it_fits(puts: list[tuple[int, int]]) -> None:
    recent: Recent[int, int] = Recent(10, size=lambda value: value)
    for key, value in puts:
        recent.put(key, value)
        assert sum(recent.get(each) or 0 for each in range(6)) <= 10
        assert recent.get(key) == (value if value <= 10 else None)
