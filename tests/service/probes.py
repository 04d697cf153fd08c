"""Requests that must not be answered: over every route that the app has, by somebody who should not be let in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from verifine.service.http.route_access import ROUTES

GRADER: dict[str, Any] = {
    "type": "string_check",
    "name": "equal",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}
TRICKS = ("../../key", "..", ".", "/etc/passwd", "..\\..\\key", "a\0b", "key/../../key", "%2e%2e", "local/key", "'--")
MISSING = "nothing-there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A request, and how it has to be refused."""

    kind: str
    method: str
    path: str
    route: str
    refused: tuple[int, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.method} {self.path} {(self.body or b'')[:100]!r}"


def list_routes(app: FastAPI) -> list[tuple[str, str]]:
    """Methods and paths of all that the app answers. Raises AssertionError: there is a kind that nobody checks."""
    found = []
    for context in iter_route_contexts(app.routes):
        if context.path == app.openapi_url:
            continue
        assert isinstance(context.original_route, APIRoute), f"{context.path} is no route with a check before it"
        found += [(method, str(context.path)) for method in context.methods or ()]
    return found


def method_of(grader: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "reinforcement", "reinforcement": {"grader": grader}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedRoute:
    """A route, and what its owner would ask it."""

    method: str
    path: str
    values: Mapping[str, str]
    """Of the parameters in paths; all are ids of somebody else."""

    @property
    def parameters(self) -> list[str]:
        return [name for name in ("job_id", "file_id", "mark_id", "model") if f"{{{name}" in self.path]

    def address(self, **other: str) -> str:
        address = self.path.replace("{model:path}", "{model}").replace("{step}", "1").replace("{group}", "0")
        for name, value in {**self.values, **other}.items():
            address = address.replace(f"{{{name}}}", quote(value, safe=""))
        if self.path == "/api/trial":
            return f"{address}?row=0"
        return f"{address}?token=x" if (self.method, self.path) == ("GET", "/session") else address

    def body(self, **other: Any) -> bytes | None:
        """A body that is right; None: it takes none."""
        job = {"model": "tiny", "training_file": self.values["file_id"], "method": method_of(GRADER), **other}
        chat = {"model": "tiny", "messages": [{"role": "user", "content": "2 + 2?"}], **other}
        bodies: dict[str, Any] = {
            "/v1/fine_tuning/jobs": job,
            "/api/resolve": job,
            "/api/check": job,
            "/api/trial": job,
            "/v1/chat/completions": chat,
            "/v1/completions": {"model": "tiny", "prompt": "2", **other},
            "/v1/fine_tuning/alpha/graders/run": {"grader": GRADER, "model_sample": "4", **other},
            "/v1/fine_tuning/alpha/graders/validate": {"grader": GRADER, **other},
            "/api/graders/probe": {"grader": GRADER, "file_id": self.values["file_id"], **other},
            "/api/files/{file_id}/study": {},
            "/api/jobs/{job_id}/regrade": {"grader": GRADER, **other},
            "/api/jobs/{job_id}/marks": {"step": 1, "group": 0, "sample": 0},
            "/v1/fine_tuning/jobs/{job_id}/resume": {},
            "/session": {"key": "vf_none_wrong"},
        }
        found = bodies.get(self.path) if self.method in ("POST", "PUT") else None
        return None if found is None else json.dumps(found).encode()

    def probe(self, kind: str, *refused: int, path: str | None = None, body: bytes | None = None) -> Probe:
        return Probe(
            kind=kind,
            method=self.method,
            path=self.address() if path is None else path,
            route=self.path,
            refused=refused,
            body=self.body() if body is None else body,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeKeys:
    """Keys of somebody who is not the owner of anything."""

    bad: Mapping[str, str]
    """That let nobody in, by what is wrong with them."""
    lacking: Mapping[str, str]
    """By the one scope that a key does not have."""
    user: str
    """To read and to run."""
    every: str
    """With all scopes."""


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def probe_keys(routes: list[ProbedRoute], keys: ProbeKeys) -> Iterator[Probe]:
    """Without a key, with one that has ended, with one for something else."""
    for route in routes:
        need = ROUTES[route.method, route.path].need
        if need == "nothing":
            continue
        yield route.probe("no key", 401)
        for wrong, key in keys.bad.items():
            yield replace(route.probe(f"a key that is {wrong}", 401), headers=bearer(key))
        if need != "key":
            yield replace(route.probe(f"no {need}", 403), headers=bearer(keys.lacking[need]))


def probe_sites(routes: list[ProbedRoute], keys: ProbeKeys) -> Iterator[Probe]:
    """From pages of other sites, which a browser sends without asking where they are simple."""
    foreign = (
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    )
    for route, headers in product(routes, foreign):
        kind = f"a page elsewhere, {headers}"
        yield replace(route.probe(kind, 403), headers={**bearer(keys.every), **headers})
    for route, kind in product(routes, ("text/plain", "multipart/form-data; boundary=x")):
        if route.method == "POST":
            headers = {**bearer(keys.every), "content-type": kind, "origin": "https://evil.example"}
            yield replace(route.probe(f"a simple request, {kind}", 403), headers=headers)


def probe_ids(routes: list[ProbedRoute], keys: ProbeKeys) -> Iterator[Probe]:
    """The ids of others, in paths and in bodies; each is refused as one that there is not."""
    for route in routes:
        if route.parameters:
            yield replace(route.probe("an id of another owner", 404), headers=bearer(keys.every))
        if b"file-" in (route.body() or b""):
            yield replace(route.probe("a file of another owner", 400, 404), headers=bearer(keys.every))
        if route.path.endswith("completions") or (route.path == "/v1/fine_tuning/jobs" and route.method == "POST"):
            body = route.body(model=route.values["model"])
            yield replace(route.probe("a model of another owner", 404, body=body), headers=bearer(keys.every))
        if "{job_id}" in route.path and route.path.startswith("/api/"):
            path = route.address(job_id=route.values["run_id"])
            yield replace(route.probe("a run of the command line", 404, path=path), headers=bearer(keys.user))


def probe_paths(routes: list[ProbedRoute], keys: ProbeKeys) -> Iterator[Probe]:
    """Ids that are paths, or would be if somebody took them for such."""
    for route in routes:
        for name, trick in product(route.parameters, TRICKS):
            if trick in ("..", ".", "%2e%2e"):  # whoever asks by URL resolves them
                continue
            path = route.address(**{name: trick})
            yield replace(route.probe("a path as an id", 400, 404, 405, path=path), headers=bearer(keys.every))
        for trick in TRICKS if b"file-" in (route.body() or b"") else ():
            given = {"file_id" if route.path == "/api/graders/probe" else "training_file": trick}
            probe = route.probe("a path as a file", 400, 404, body=route.body(**given))
            yield replace(probe, headers=bearer(keys.every))
        for trick in TRICKS if b'"model"' in (route.body() or b"") else ():
            probe = route.probe("a path as a model", 400, 404, body=route.body(model=trick))
            yield replace(probe, headers=bearer(keys.every))


def probe_sizes(routes: list[ProbedRoute], keys: ProbeKeys, body_bytes: int, file_bytes: int) -> Iterator[Probe]:
    """Bodies that are larger than allowed."""
    for route in routes:
        if route.body() is not None:
            body = b'{"a": "' + b"a" * body_bytes + b'"}'
            yield replace(route.probe("an oversize body", 413, body=body), headers=bearer(keys.every))
        if (route.method, route.path) == ("POST", "/v1/files"):
            head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
            headers = {**bearer(keys.every), "content-type": "multipart/form-data; boundary=x"}
            probe = route.probe("an oversize file", 413, body=head + b"a" * (file_bytes + 1))
            yield replace(probe, headers=headers)


def probe_settings(
    routes: list[ProbedRoute], keys: ProbeKeys, file_id: str, settings: Mapping[str, Any]
) -> Iterator[Probe]:
    """Settings and graders that name a path, an address or a variable of the service's machine."""
    judge = [{"role": "user", "content": "{{ sample.output_text }}"}]
    graders: list[dict[str, Any]] = [
        {"type": "endpoint", "name": "e", "url": "http://127.0.0.1:1/x", "token_env": "HOME"},
        {"type": "endpoint", "name": "e", "url": "http://169.254.169.254/latest", "secret_env": "HOME"},
        {"type": "score_model", "name": "j", "model": "tiny", "input": judge},
        {**GRADER, "api_key_env": "HOME"},
        {**GRADER, "path": "/etc/passwd"},
    ]
    for route in routes:
        body = route.body() or b""
        if b'"method"' in body:
            for section, values in settings.items():
                for name, value in values.items():
                    other = {"training_file": file_id, "verifine": {section: {name: value}}}
                    probe = route.probe(f"{section}.{name}", 400, body=route.body(**other))
                    yield replace(probe, headers=bearer(keys.every))
            for grader in graders:
                other = {"training_file": file_id, "method": method_of(grader)}
                probe = route.probe(f"grader {grader['type']}", 400, body=route.body(**other))
                yield replace(probe, headers=bearer(keys.every))
        elif b'"grader"' in body and not route.parameters:
            for grader in graders:
                probe = route.probe(f"grader {grader['type']}", 400, body=route.body(grader=grader, file_id=file_id))
                yield replace(probe, headers=bearer(keys.every))
