from __future__ import annotations

import pytest

from verifine.errors import GraderError
from verifine.graders.remote import check_address, read_secret
from verifine.graders.remote.address import goes_by_proxy, shown
from verifine.machine.secrets import mask


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "https://judge.example/v1", "http://[::1]:80/v1"])
def test_addresses_that_can_be_asked(url: str) -> None:
    check_address(url)
    assert shown(url) == url


@pytest.mark.parametrize(
    "url", ["http://", "http:///v1", "http://a:99999/v1", "http://a:b/v1", "ftp://a", "http://[::1"]
)
def test_addresses_that_cannot(url: str) -> None:
    with pytest.raises(GraderError, match="write it as in http"):
        check_address(url)


def test_a_password_in_an_address_is_refused_and_not_told() -> None:
    with pytest.raises(GraderError, match=r"^the address http://host/v1 holds a password") as caught:
        check_address("http://user:hunter2@host/v1?key=hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "by_proxy"),
    [
        ("http://localhost:8000/v1", False),
        ("http://judge.localhost/v1", False),
        ("http://127.0.0.1/v1", False),
        ("http://127.9.9.9/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://10.0.0.1/v1", True),
        ("https://localhost.example/v1", True),
    ],
)
def test_only_this_machine_is_never_asked_by_way_of_a_proxy(url: str, by_proxy: bool) -> None:
    assert goes_by_proxy(url) == by_proxy


def test_a_secret_is_read_without_the_line_end_of_its_file() -> None:
    assert read_secret({"KEY": " sk-1\r\n"}, "KEY") == "sk-1"


@pytest.mark.parametrize("environment", [{}, {"KEY": ""}, {"KEY": " \n"}])
def test_a_secret_that_is_not_there_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(GraderError, match="the environment variable KEY is not set"):
        read_secret(environment, "KEY")


@pytest.mark.parametrize("value", ["hunter2\r\nx-evil: 1", "hunter2é", "hunter2\x00"])
def test_a_secret_that_cannot_stand_in_a_header_is_refused_and_not_told(value: str) -> None:
    with pytest.raises(GraderError, match="KEY") as caught:
        read_secret({"KEY": value}, "KEY")
    assert "hunter2" not in str(caught.value)


def test_every_secret_is_masked_everywhere() -> None:
    assert mask("a key, b, key", ["key", "b"]) == "a [secret], [secret], [secret]"
