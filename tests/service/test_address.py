"""Who may ask a service: this machine, or others with a key and over TLS."""

from __future__ import annotations

import os
import pty
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from verifine.errors import ConfigError
from verifine.service.access.address import Certificate, ServiceAddress, read_certificate
from verifine.service.serve import JobService, ServeOptions

NAME = "verifine.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(chain=folder / "chain.pem", private_key=folder / "key.pem")
    openssl = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    files = ["-keyout", str(made.private_key), "-out", str(made.chain)]
    try:
        subprocess.run([*openssl, *files, "-subj", f"/CN={NAME}"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl")
    return made


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "verifine.example", ""])
def test_others_are_not_answered_in_the_clear(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"--host {host} lets other machines ask")) as refusal:
        JobService(ServeOptions(address=ServiceAddress(host=host, names=(NAME,)), data=tmp_path / "data"), {})
    assert "--tls-cert" in str(refusal.value)
    assert "--behind-proxy" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_no_tls(host: str) -> None:
    address = ServiceAddress(host=host)
    address.check()
    assert not address.is_for_others
    assert host in address.hosts


def test_a_service_for_others_needs_a_name_and_a_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--name"):
        ServiceAddress(host="0.0.0.0", is_behind_proxy=True).check()
    with pytest.raises(ConfigError, match="--name"):
        ServiceAddress(is_behind_proxy=True).check()
    address = ServiceAddress(host="127.0.0.1", port=0, names=(NAME,), is_behind_proxy=True)
    with pytest.raises(ConfigError, match="verifine keys create"):
        JobService(ServeOptions(address=address, data=tmp_path), os.environ)
    assert not (tmp_path / "key").exists()


def test_a_proxy_before_it_makes_it_a_service_for_others_also_on_this_machine() -> None:
    address = ServiceAddress(names=("Verifine.Example",), is_behind_proxy=True)
    assert address.is_for_others
    assert address.is_secure
    assert NAME in address.hosts


def test_a_certificate_that_cannot_be_used_is_told(certificate: Certificate, tmp_path: Path) -> None:
    for chain, private_key in ((tmp_path / "no.pem", certificate.private_key), (certificate.private_key,) * 2):
        with pytest.raises(ConfigError, match="--tls-cert") as refusal:
            ServiceAddress(certificate=Certificate(chain=chain, private_key=private_key)).check()
        assert str(chain) in str(refusal.value)
    for files in ((certificate.chain, None), (None, certificate.private_key)):
        with pytest.raises(ConfigError, match="together"):
            read_certificate(*files)
    assert read_certificate(None, None) is None


def test_a_private_key_with_a_password_is_refused_and_not_asked_for(certificate: Certificate, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    command = ["openssl", "ec", "-aes128", "-passout", "pass:hunter2", "-in", str(certificate.private_key)]
    subprocess.run([*command, "-out", str(locked)], check=True, capture_output=True)
    with pytest.raises(ConfigError, match="password"):
        ServiceAddress(certificate=Certificate(chain=certificate.chain, private_key=locked)).check()


@pytest.mark.slow
def test_others_ask_over_tls_with_their_key(certificate: Certificate, tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    verifine = [sys.executable, "-m", "verifine"]
    make = [*verifine, "keys", "create", "--owner", "alice", *data]
    key = subprocess.run(make, check=True, capture_output=True, text=True).stdout.strip()
    tls = ["--tls-cert", str(certificate.chain), "--tls-key", str(certificate.private_key)]
    where = ["--host", "0.0.0.0", "--port", "0", "--name", NAME]
    service = subprocess.Popen([*verifine, "serve", *where, *tls, *data], stdout=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        line = service.stdout.readline()
        port = int(line.strip().rpartition(":")[2])
        assert line == f"Serving at https://0.0.0.0:{port}\n"
        trusted = ssl.create_default_context(cafile=str(certificate.chain))
        trusted.check_hostname = False
        with httpx2.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted, timeout=60) as client:
            named = {"host": NAME, "authorization": f"Bearer {key}"}
            assert client.get("/api/session", headers=named).json()["owner"] == "alice"
            assert client.get("/api/session", headers={"host": NAME}).status_code == 401
            assert client.get("/api/session", headers=named | {"host": "other.example"}).status_code == 403
            signed_in = client.post("/session", json={"key": key}, headers={"host": NAME})
            assert "Secure" in signed_in.headers["set-cookie"]
            assert client.get("/session", params={"token": ""}, headers={"host": NAME}).status_code == 403
        with pytest.raises(httpx2.TransportError):
            httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        assert not (tmp_path / "data" / "key").exists()
    finally:
        service.send_signal(signal.SIGTERM)
        rest = service.communicate()[0]
    assert rest == "stopped; jobs that run go on\n"


@pytest.mark.slow
def test_the_start_token_is_printed_on_a_terminal_only_and_the_key_nowhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "verifine", "serve", "--port", "0", "--data", str(tmp_path)]
    reader, terminal = pty.openpty()
    service = subprocess.Popen(command, stdout=terminal)
    os.close(terminal)
    try:
        with os.fdopen(reader, encoding="utf-8") as lines:
            shown = [lines.readline().strip() for _ in range(4)]
            page = shown[3].rpartition(" ")[2]
            with httpx2.Client(timeout=60, follow_redirects=True, trust_env=False) as browser:
                answer = browser.get(page)
            assert (answer.status_code, answer.json()["owner"]) == (200, "local")
            service.send_signal(signal.SIGTERM)
            service.wait()
    finally:
        service.kill()
    key = (tmp_path / "key").read_text().strip()
    assert shown[1] == f"export OPENAI_BASE_URL={page.partition('/session')[0]}/v1"
    pasted = subprocess.run(["sh", "-c", f"{shown[2]}; printf %s $OPENAI_API_KEY"], capture_output=True, text=True)
    assert pasted.stdout == key
    assert key not in "".join(shown)
    piped = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert piped.stdout is not None
    first = [piped.stdout.readline() for _ in range(3)]
    piped.send_signal(signal.SIGTERM)
    assert "?token=" not in "".join(first) + piped.communicate()[0]
