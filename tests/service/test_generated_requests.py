"""Requests that are made up from the description of the service; `benchmarks/service_requests.py` asks 10,000."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from verifine.testing.generated_requests import RequestGenerator
from verifine.testing.requested_service import RequestedService


@pytest.mark.slow
def test_whatever_is_asked_the_service_does_not_fail(database_url: str, tmp_path: Path) -> None:
    with RequestedService.open(tmp_path, database_url) as service:
        generator = RequestGenerator(service.description, service.known, seed=7)
        answers = [service.ask(request) for request in generator.requests(300)]
    assert [each.request for each in answers if each.status == 500] == []
    assert {each.status for each in answers} >= {200, 400, 404}
    assert [(each.fault, each.request) for each in answers if each.fault is not None] == []
    for each in answers:
        if each.status >= 400:
            assert json.loads(each.body)["error"].keys() == {"message", "type", "param", "code"}
            assert str(tmp_path) not in each.body.decode()


def test_the_same_seed_makes_the_same_requests(tmp_path: Path) -> None:
    with RequestedService.open(tmp_path) as service:
        made = [list(RequestGenerator(service.description, service.known, seed).requests(80)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert {each.route for each in made[0]} == set(service.description["paths"])
