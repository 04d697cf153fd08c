from __future__ import annotations

import pytest

from verifine.config.memory import PROGRAM_BYTES
from verifine.service.endpoints.memory import IdleEndpoint, choose_unloaded, endpoint_bytes

OLD = IdleEndpoint(name="old", used_at=1.0, freed_bytes=30)
NEW = IdleEndpoint(name="new", used_at=2.0, freed_bytes=50)


def test_a_model_takes_its_weights_in_two_types_and_its_cache() -> None:
    assert endpoint_bytes(1000, 70) == PROGRAM_BYTES + 4000 + 2000 + 70


@pytest.mark.parametrize(
    ("needed", "free", "unloaded"),
    [
        (10, 10, []),
        (11, 10, ["old"]),
        (40, 10, ["old"]),
        (41, 10, ["old", "new"]),
        (90, 10, ["old", "new"]),
        (91, 10, None),
        (1, -1, ["old"]),
    ],
)
def test_the_least_recently_used_go_first_and_no_more_than_needed(
    needed: int, free: int, unloaded: list[str] | None
) -> None:
    assert choose_unloaded(needed, free, [NEW, OLD]) == unloaded


def test_nothing_is_unloaded_for_what_does_not_fit_anyway() -> None:
    assert choose_unloaded(100, 10, []) is None
