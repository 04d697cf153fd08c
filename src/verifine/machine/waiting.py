"""How torch's threads wait for each other."""

from __future__ import annotations

from collections.abc import MutableMapping

SPINS = 10_000
"""How often a thread polls for the others before it sleeps.

GNU's OpenMP, which torch uses on Linux, polls 300,000 times by default. If another program occupies one of the cores,
the other threads waste theirs for that long in every product: with two busy programs on two cores, small products took
480 ms and now take 70 ms; on an idle machine they are as fast as before (docs/performance.md).
"""


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """Sets the environment variable, which torch reads when it is imported; what a user has set is kept."""
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", str(SPINS))
