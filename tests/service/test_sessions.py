"""How browsers get in: the start token or a key, which become a cookie."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie

import httpx2
import pytest

from verifine.service.access.key_store import SESSION_S
from verifine.service.http.app import ServiceParts
from verifine.service.http.site import Site
from verifine.testing.clock import ManualClock
from verifine.testing.service_parts import serve_parts

TOKEN = "a-start-token"
PROXIED = Site(hosts=("verifine.example",), is_secure=True)
SIGNED_IN = ("read", "run", "admin", "metrics")


@pytest.fixture
def browser(parts: ServiceParts) -> Iterator[httpx2.Client]:
    """Nobody yet, at a service of this machine."""
    with serve_parts(parts, site=Site(start_token=TOKEN)) as url, httpx2.Client(base_url=url, timeout=60) as client:
        client.headers["origin"] = url
        yield client


@pytest.fixture
def proxied(parts: ServiceParts) -> Iterator[httpx2.Client]:
    """As a proxy asks that speaks TLS."""
    with serve_parts(parts, site=PROXIED) as url, httpx2.Client(base_url=url, timeout=60) as client:
        client.headers["host"] = "verifine.example"
        yield client


def cookie_of(answer: httpx2.Response) -> tuple[str, str, dict[str, object]]:
    """Its name, its value, and what else the browser is told."""
    [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
    return name, morsel.value, {key: value for key, value in morsel.items() if value}


def test_the_start_token_becomes_a_cookie(browser: httpx2.Client) -> None:
    assert browser.get("/api/session").status_code == 401
    answer = browser.get("/session", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/api/session")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    name, value, told = cookie_of(answer)
    assert name == "verifine_session"
    assert TOKEN not in value
    assert told == {"httponly": True, "samesite": "strict", "path": "/", "max-age": str(SESSION_S)}
    assert browser.get("/api/session").json() == {"owner": "local", "scopes": list(SIGNED_IN), "kind": "session"}
    assert browser.get("/v1/files").status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}a", "ÿ"])
def test_a_wrong_token_opens_nothing(browser: httpx2.Client, token: str) -> None:
    answer = browser.get("/session", params={"token": token})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_key_becomes_a_cookie_of_its_owner_with_its_scopes(browser: httpx2.Client, parts: ServiceParts) -> None:
    _, key = parts.keys.create("alice", ["read"])
    answer = browser.post("/session", json={"key": key.reveal()})
    assert answer.json() == {"owner": "alice", "scopes": ["read"], "kind": "session"}
    assert key.reveal() not in answer.headers["set-cookie"]
    assert browser.get("/v1/files").status_code == 200
    assert browser.post("/v1/files").status_code == 403
    parts.keys.revoke(key.id)
    assert browser.get("/v1/files").status_code == 401


@pytest.mark.parametrize("key", ["", "wrong", "vf_local_wrong", "vf_none_secret"])
def test_a_wrong_key_gets_no_cookie(browser: httpx2.Client, key: str) -> None:
    answer = browser.post("/session", json={"key": key})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_signing_out_ends_the_session_for_whoever_has_the_cookie(browser: httpx2.Client, parts: ServiceParts) -> None:
    name, value, _ = cookie_of(browser.get("/session", params={"token": TOKEN}))
    assert browser.delete("/api/session").status_code == 200
    assert not browser.cookies
    assert browser.get("/v1/files", headers={"cookie": f"{name}={value}"}).status_code == 401
    key = {"authorization": "Bearer vf_local_secret"}
    assert browser.delete("/api/session", headers=key).json()["error"]["code"] == "no_session"
    assert browser.get("/api/session", headers=key).json()["kind"] == "key"


def test_a_session_ends_after_a_week(browser: httpx2.Client, clock: ManualClock) -> None:
    name, value, _ = cookie_of(browser.get("/session", params={"token": TOKEN}))
    clock.advance(SESSION_S - 1)
    assert browser.get("/v1/files", headers={"cookie": f"{name}={value}"}).status_code == 200
    clock.advance(1)
    assert browser.get("/v1/files", headers={"cookie": f"{name}={value}"}).status_code == 401


def test_what_changes_something_must_come_from_a_page_of_the_service(browser: httpx2.Client) -> None:
    browser.get("/session", params={"token": TOKEN})
    own = browser.headers.pop("origin")

    def upload(**headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        file, fields = {"file": ("a.jsonl", b"{}")}, {"purpose": "fine-tune"}
        return browser.post("/v1/files", files=file, data=fields, headers=sent).status_code

    assert [upload(), upload(origin="null"), upload(origin="http://127.0.0.1:1")] == [403] * 3
    assert [upload(sec_fetch_site=site) for site in ("same-site", "cross-site", "none")] == [403] * 3
    assert [upload(origin=own), upload(sec_fetch_site="same-origin")] == [200] * 2


def test_a_wrong_key_is_not_helped_by_a_cookie(browser: httpx2.Client) -> None:
    browser.get("/session", params={"token": TOKEN})
    for wrong in ("Bearer vf_local_wrong", "Basic abc", "Bearer", ""):
        assert browser.get("/v1/files", headers={"authorization": wrong}).status_code == 401, wrong


def test_a_cookie_and_a_key_do_not_stand_for_each_other(browser: httpx2.Client) -> None:
    name, value, _ = cookie_of(browser.get("/session", params={"token": TOKEN}))
    browser.cookies.clear()
    assert browser.get("/v1/files", headers={"authorization": f"Bearer {value}"}).status_code == 401
    assert browser.get("/v1/files", headers={"cookie": f"{name}=vf_local_secret"}).status_code == 401
    assert browser.get("/v1/files", headers={"cookie": f"{name}={value}"}).status_code == 200


def test_behind_tls_the_cookie_is_for_tls_and_this_host_alone(proxied: httpx2.Client) -> None:
    answer = proxied.post("/session", json={"key": "vf_local_secret"})
    name, value, told = cookie_of(answer)
    assert name == "__Host-verifine_session"
    assert told["secure"] is True
    assert "domain" not in told
    assert proxied.get("/v1/files", headers={"cookie": f"verifine_session={value}"}).status_code == 401
    assert proxied.get("/v1/files", headers={"cookie": f"{name}={value}"}).status_code == 200
    page = {"cookie": f"{name}={value}", "origin": "http://verifine.example"}
    assert proxied.get("/v1/files", headers=page).status_code == 403
    assert proxied.get("/v1/files", headers=page | {"origin": "https://verifine.example"}).status_code == 200


def test_for_others_no_token_opens_anything(proxied: httpx2.Client) -> None:
    for token in ("", "None", TOKEN):
        assert proxied.get("/session", params={"token": token}).status_code == 403


def test_a_restart_keeps_the_cookie_and_ends_the_token(browser: httpx2.Client, parts: ServiceParts) -> None:
    name, value, _ = cookie_of(browser.get("/session", params={"token": TOKEN}))
    with serve_parts(parts, site=Site(start_token="another")) as url:
        cookie = {"cookie": f"{name}={value}"}
        assert httpx2.get(f"{url}/v1/files", headers=cookie, trust_env=False).status_code == 200
        assert httpx2.get(f"{url}/session?token={TOKEN}", trust_env=False).status_code == 403


def test_no_header_of_a_proxy_is_read(proxied: httpx2.Client) -> None:
    key = {"authorization": "Bearer vf_local_secret"}
    named = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "http", "forwarded": "host=evil.example"}
    assert proxied.get("/v1/files", headers=key | named).status_code == 200
    named = {"host": "evil.example", "x-forwarded-host": "verifine.example", "forwarded": "host=verifine.example"}
    assert proxied.get("/v1/files", headers=key | named).status_code == 403


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_a_few_addresses_answer_anybody_who_asks_by_the_right_name(proxied: httpx2.Client, path: str) -> None:
    assert proxied.get(path).status_code == 200
    assert proxied.get(path, headers={"host": "evil.example"}).status_code == 403
