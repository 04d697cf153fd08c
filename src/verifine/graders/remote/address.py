"""The address of a service."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from verifine.errors import GraderError


def check_address(url: str) -> None:
    """GraderError if it is not valid, or holds a password: the configuration is saved and shown."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise GraderError(f"the address {url} is none: {error}; write it as in http://127.0.0.1:8000/v1") from error
    if parts.username is not None or parts.password is not None:
        raise GraderError(f"the address {shown(url)} holds a password; give it by an environment variable instead")
    if parts.scheme not in ("http", "https") or not host:
        raise GraderError(f"the address {url} is none; write it as in http://127.0.0.1:8000/v1")


def shown(url: str) -> str:
    """The address for people: without a password, and without the query, which may hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def goes_by_proxy(url: str) -> bool:
    """Whether the environment's proxies apply: not for this machine itself."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
