"""Where a service may be asked, and by which names: this machine alone, or others over TLS."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from verifine.errors import ConfigError
from verifine.wire.envelope import LOCAL_HOSTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The two files of TLS, as PEM."""

    chain: Path
    private_key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAddress:
    """What a service listens at, and what it is called."""

    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()
    """What clients call it besides."""
    certificate: Certificate | None = None
    """None: it does not speak TLS itself."""
    is_behind_proxy: bool = False
    """Whether whoever asks comes through a proxy that speaks TLS for it."""

    @property
    def is_for_others(self) -> bool:
        """Whether other machines reach it."""
        return self.is_behind_proxy or not _is_loopback(self.host)

    @property
    def is_secure(self) -> bool:
        return self.certificate is not None or self.is_behind_proxy

    @property
    def hosts(self) -> frozenset[str]:
        """The names that it may be asked by."""
        own = () if _is_any(self.host) else (self.host.lower(),)
        return frozenset((*LOCAL_HOSTS, *own, *(name.lower() for name in self.names)))

    def check(self) -> None:
        """Raises ConfigError: keys would be sent in the clear, or nobody could ask."""
        if self.is_for_others and not self.is_secure:
            raise ConfigError(
                f"--host {self.host} lets other machines ask, who need TLS: give --tls-cert and --tls-key, or "
                "--behind-proxy where a proxy speaks TLS for it"
            )
        if self.is_for_others and not self.names and (_is_any(self.host) or self.is_behind_proxy):
            raise ConfigError("say what clients call the service, as in --name verifine.example.org")
        if self.certificate is not None:
            load_certificate(self.certificate)


def read_certificate(chain: Path | None, private_key: Path | None) -> Certificate | None:
    """Raises ConfigError: there is one without the other."""
    if chain is None and private_key is None:
        return None
    if chain is None or private_key is None:
        raise ConfigError("--tls-cert and --tls-key go together; give both")
    return Certificate(chain=chain, private_key=private_key)


def load_certificate(certificate: Certificate) -> None:
    """Raises ConfigError: the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = f"--tls-cert {certificate.chain} --tls-key {certificate.private_key}"

    def refuse_password() -> str:
        raise ConfigError(f"{files}: the key has a password; give one without, which only the service's user can read")

    try:
        context.load_cert_chain(certificate.chain, certificate.private_key, refuse_password)
    except OSError as error:  # also what ssl finds wrong
        reason = error.strerror or "they do not belong together"
        raise ConfigError(f"{files}: these cannot be used ({reason}); both are PEM files") from error


def _is_any(host: str) -> bool:
    """Whether it stands for every address of the machine."""
    return host in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
