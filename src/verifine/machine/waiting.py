"""How torch's threads wait for each other."""

from __future__ import annotations

from collections.abc import MutableMapping

SPINS = 10_000
"""How often a thread looks whether the others are done before it sleeps.

GNU's OpenMP, which torch is built with on Linux, has them look 300,000 times. Where another program has one of the
cores, the rest of them burns theirs for that long at every product: with two busy neighbours on two cores, small
products took 480 ms of which 70 are left; on an idle machine these are as fast as before (docs/performance.md).
"""


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """To be called before torch is imported, for it is then that this is read. What a user set stays."""
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", str(SPINS))
