"""Hundreds of requests over every route that the app has, by somebody who may not: none of them may pass."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel
from sqlalchemy import insert

from verifine.config import RunConfig
from verifine.service.access.key_store import KeyStore
from verifine.service.access.scopes import SCOPES
from verifine.service.database import Database
from verifine.service.database.owners import LOCAL, next_seq
from verifine.service.database.tables import MODELS
from verifine.service.http.app import build_service
from verifine.service.http.route_access import ROUTES
from verifine.service.jobs.remote_settings import REMOTE
from verifine.testing.requested_service import RequestedService

from .probes import (
    MISSING,
    Probe,
    ProbedRoute,
    ProbeKeys,
    bearer,
    list_routes,
    probe_ids,
    probe_keys,
    probe_paths,
    probe_settings,
    probe_sites,
    probe_sizes,
)

TUNED = "ft:tiny:local::12345678"
VALUES = {"train": "/etc/passwd", "eval": "/etc/passwd", "start_from": "/etc", "directory": "/tmp/run", "name": "/etc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A service with things of the owners local and bob, and somebody called mallory who has none."""

    service: RequestedService
    http: httpx2.Client
    """Nobody's; each request has a connection of its own, so that none is closed by what came before."""
    routes: list[ProbedRoute]
    keys: ProbeKeys
    own_file: str
    """Of mallory."""

    def ask(self, probe: Probe) -> httpx2.Response:
        request = self.http.build_request(probe.method, probe.path, headers=dict(probe.headers), content=probe.body)
        answer = self.http.send(request, stream=True)
        try:
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                answer.read()
        finally:
            answer.close()
        return answer

    def count_refused(self, probes: Iterator[Probe]) -> int:
        """How many there were. Raises AssertionError: with those that passed."""
        asked = list(probes)
        passed = []
        for probe in asked:
            answer = self.ask(probe)
            if answer.status_code not in probe.refused:
                passed.append((str(probe), answer.status_code))
        assert passed == []
        return len(asked)


@pytest.fixture
def probed(tmp_path: Path, database_url: str) -> Iterator[Probed]:
    with RequestedService.open(tmp_path, database_url) as service:
        known, keys = service.known, service.parts.keys
        add_model(database_url, known["job_id"][0])
        values = {
            "job_id": known["job_id"][0],
            "file_id": known["file_id"][0],
            "mark_id": known["mark_id"][0],
            "model": TUNED,
            "run_id": known["job_id"][-1],
        }
        routes = [
            ProbedRoute(method=method, path=path, values=values)
            for method, path in list_routes(build_service(service.parts))
        ]
        made = make_keys(keys)
        rows = b"".join(b'{"messages": [{"role": "user", "content": "q%d"}], "answer": "a"}\n' % n for n in range(20))
        answer = service.http.post(
            "/v1/files", headers=bearer(made.every), data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", rows)}
        )
        own_file, once = answer.json()["id"], httpx2.Limits(max_keepalive_connections=0)
        with httpx2.Client(base_url=service.http.base_url, limits=once, timeout=60) as http:
            yield Probed(service=service, http=http, routes=routes, keys=made, own_file=own_file)


def test_every_route_says_what_it_asks_of_a_key(probed: Probed) -> None:
    routes = [(route.method, route.path) for route in probed.routes]
    assert Counter(routes) == Counter(ROUTES.keys())
    assert {route for route in routes if ROUTES[route].need == "nothing"} == {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/session"),
        ("POST", "/session"),
    }
    for method, path in routes:
        assert ROUTES[method, path].need != "read" or method == "GET", "what changes something needs another scope"


@pytest.mark.slow
def test_no_probe_passes(probed: Probed) -> None:
    service, routes, keys = probed.service, probed.routes, probed.keys
    limits = service.parts.limits
    before = _state(probed)
    counts = {
        "keys": probed.count_refused(probe_keys(routes, keys)),
        "sites": probed.count_refused(probe_sites(routes, keys)),
        "ids": probed.count_refused(probe_ids(routes, keys)),
        "paths": probed.count_refused(probe_paths(routes, keys)),
        "sizes": probed.count_refused(probe_sizes(routes, keys, limits.body_bytes, limits.file_bytes)),
        "settings": probed.count_refused(probe_settings(routes, keys, probed.own_file, _forbidden_settings())),
    }
    assert sum(counts.values()) >= 150
    assert min(counts.values()) >= 10, counts
    assert _state(probed) == before


def test_the_same_requests_are_answered_where_they_are_allowed(probed: Probed) -> None:
    """Otherwise a probe could be refused for another reason than the one that it is about."""
    owner, asked = own_key(probed), 0
    for route in probed.routes:
        if route.method == "GET" and route.path != "/session":
            asked += 1
            assert probed.ask(replace(route.probe("own"), headers=owner)).status_code == 200, route
    assert asked >= 20
    made = ("jobs", "marks", "run", "validate", "study", "probe")
    posted = [each for each in probed.routes if each.method in ("POST", "PUT") and each.body() is not None]
    for route in (each for each in posted if each.path.rpartition("/")[2] in made):
        answer = probed.ask(replace(route.probe("own"), headers=owner))
        assert answer.status_code == 200, (route, answer.text)


def test_what_others_have_is_refused_in_the_words_for_what_there_is_not(probed: Probed) -> None:
    every, compared = bearer(probed.keys.every), 0
    for route in probed.routes:
        for name in route.parameters:
            missing = route.probe("missing", path=route.address(**{name: MISSING}))
            found = [probed.ask(replace(each, headers=every)) for each in (route.probe("theirs"), missing)]
            assert [answer.status_code for answer in found] == [404, 404], route
            assert found[0].text.replace(route.values[name], "X") == found[1].text.replace(MISSING, "X"), route
            compared += 1
    assert compared >= 20


def test_no_list_tells_of_what_others_have(probed: Probed) -> None:
    known = probed.service.known
    theirs = {*known["job_id"], *known["file_id"], *known["mark_id"], TUNED}
    lists = ("/v1/files", "/v1/fine_tuning/jobs", "/v1/models", "/api/endpoints", "/metrics")
    with httpx2.Client(base_url=probed.service.http.base_url, headers=bearer(probed.keys.every), timeout=60) as http:
        for path in lists:
            text = http.get(path).text
            assert [each for each in theirs if each in text] == [], path
        for path, cursor in (("/v1/files", "file_id"), ("/v1/fine_tuning/jobs", "job_id")):
            assert http.get(path, params={"after": known[cursor][0]}).status_code == 400
        owner = own_key(probed)
        assert known["file_id"][0] in http.get("/v1/files", headers=owner).text


def test_no_setting_that_comes_over_the_network_names_a_path_an_address_or_a_variable() -> None:
    named = []
    for section, allowed in REMOTE.items():
        for schema in _schemas(RunConfig.model_fields[section].annotation):
            for name, field in schema.model_fields.items():
                if allowed is None or name in allowed:
                    named += [f"{section}.{place}" for place in _places(name, field.annotation)]
    assert named == []


def add_model(database_url: str, job_id: str) -> None:
    """A tuned model of the local owner."""
    database = Database(database_url)
    row = {"id": TUNED, "owner_id": LOCAL, "job_id": job_id, "kind": "tuned", "base": "tiny", "folder": "tuned"}
    with database.write() as connection:
        seq = next_seq(connection, LOCAL)
        connection.execute(insert(MODELS).values(**row, seq=seq, created_at=1, step=1, is_adapter=False))
    database.close()


def make_keys(keys: KeyStore) -> ProbeKeys:
    revoked, revoked_text = keys.create("mallory", SCOPES)
    keys.revoke(revoked.id)
    right, every = keys.create("mallory", SCOPES)
    bad = {
        "unknown": "vf_nobody_secret",
        "of the right id with a wrong secret": f"vf_{right.id}_{'a' * 43}",
        "revoked": revoked_text.reveal(),
        "expired": keys.create("mallory", SCOPES, lasts_s=0)[1].reveal(),
        "the cookie of a session": keys.begin_session("mallory", SCOPES).reveal(),
        "no key at all": "sk-anything",
    }
    return ProbeKeys(
        bad=bad,
        lacking={each: keys.create(LOCAL, set(SCOPES) - {each})[1].reveal() for each in SCOPES},
        user=keys.create("mallory", ["read", "run"])[1].reveal(),
        every=every.reveal(),
    )


def own_key(probed: Probed) -> dict[str, str]:
    return {"authorization": str(probed.service.http.headers["authorization"])}


def _state(probed: Probed) -> dict[str, Any]:
    """What the owner sees of their things."""
    http = probed.service.http
    paths = ("/v1/files", "/v1/fine_tuning/jobs", "/v1/models", f"/api/jobs/{probed.service.known['job_id'][0]}/marks")
    return {path: http.get(path).json() for path in paths}


def _forbidden_settings() -> dict[str, dict[str, Any]]:
    """All that a request may not set, with values that somebody would try."""
    found: dict[str, dict[str, Any]] = {}
    for section, field in RunConfig.model_fields.items():
        allowed = REMOTE.get(section, frozenset())
        if allowed is not None:
            names = {name for schema in _schemas(field.annotation) for name in schema.model_fields}
            found[section] = {name: VALUES.get(name, "HOME") for name in sorted(names - allowed)}
    return found


def _schemas(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [schema for part in typing.get_args(annotation) for schema in _schemas(part)]


def _places(name: str, annotation: Any) -> list[str]:
    """Where a path, an address or a variable of the environment is named, below a setting."""
    if name.endswith(("_env", "url", "_key")) or "Path" in str(annotation) or "HubDataset" in str(annotation):
        return [name]
    below = [schema for schema in _schemas(annotation) if "config.graders" not in schema.__module__]  # refused by type
    inner = [each for schema in below for each in schema.model_fields.items()]
    return [f"{name}.{place}" for each, field in inner for place in _places(each, field.annotation)]
