"""Where a service keeps what it has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from verifine.machine.disk import refuse_failure
from verifine.models.provision.cache import cache_folder


def data_folder(given: Path | None, environment: Mapping[str, str]) -> Path:
    """Of all that it has; `given` None: in the user's cache folder."""
    return (given or cache_folder(environment) / "service").absolute()


def make_data_folder(data: Path) -> None:
    """Raises DiskError."""
    with refuse_failure(data):
        data.mkdir(mode=0o700, parents=True, exist_ok=True)  # prompts and answers are nobody else's


def database_url(data: Path) -> str:
    """Of the database that a service has in its own folder."""
    return f"sqlite:///{data / 'service.db'}"
