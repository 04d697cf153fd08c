from __future__ import annotations

import json
from pathlib import Path

import pytest

from verifine.machine.disk import LOCAL_DISK, write_whole
from verifine.machine.secrets import MaskingDisk, find_secrets, mask

SECRET = 'sk-"quoted"-é-1234'


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "sk-abcdefgh"),
        ("HF_TOKEN", "hf_abcdefgh"),
        ("wandb_secret", "abcdefgh"),
        ("DB_PASSWORD", "correct horse"),
        ("AWS_CREDENTIALS", "AKIA12345678"),
        ("PROXY_AUTH", "user:12345"),
    ],
)
def test_what_is_called_secret_is_found(name: str, value: str) -> None:
    assert find_secrets({name: f" {value}\n", "PATH": "/usr/bin:/bin"}) == (value,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_TOKENS", "1234567890"),
        ("SSH_AUTH_SOCK", "/tmp/ssh-abcdef"),
        ("API_KEY", "short"),
        ("HOME", "abcdefghij"),
    ],
)
def test_numbers_paths_words_and_what_is_called_otherwise_are_none(name: str, value: str) -> None:
    assert find_secrets({name: value}) == ()


def test_the_longest_secret_is_masked_first() -> None:
    secrets = find_secrets({"A_KEY": "abcdefgh", "B_KEY": "abcdefghij"})
    assert mask("abcdefghij and abcdefgh", secrets) == "[secret] and [secret]"


def test_no_text_file_holds_a_secret_in_any_form(tmp_path: Path) -> None:
    disk = MaskingDisk(LOCAL_DISK, [SECRET])
    disk.append(tmp_path / "events.jsonl", json.dumps({"error": SECRET}).encode())
    disk.append(tmp_path / "events.jsonl", json.dumps({"error": SECRET}, ensure_ascii=False).encode())
    write_whole(tmp_path / "config.yaml", f"a: {SECRET}".encode(), disk)
    write_whole(tmp_path / "report.html", SECRET.encode(), disk)
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert "1234" not in text
        assert "[secret]" in text


def test_other_files_are_written_as_they_are(tmp_path: Path) -> None:
    disk = MaskingDisk(LOCAL_DISK, ["abcdefgh"])
    disk.write(tmp_path / "state.safetensors", [b"abcd", b"efgh"])
    assert (tmp_path / "state.safetensors").read_bytes() == b"abcdefgh"
