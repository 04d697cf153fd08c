from __future__ import annotations

import subprocess
import sys
from itertools import permutations
from pathlib import Path

from verifine.graders.sandbox.view import find_view


def test_nothing_lies_below_another_and_no_path_is_a_link() -> None:
    view = find_view()
    for path in (*view.read, *view.packages, view.interpreter):
        assert Path(path).resolve() == Path(path)
    for path, other in permutations(view.read, 2):
        assert not Path(path).is_relative_to(other)


def test_what_is_needed_to_import_is_there() -> None:
    view = find_view()
    import json

    import pytest

    for module in (json, pytest):
        assert module.__file__ is not None
        assert any(Path(module.__file__).resolve().is_relative_to(path) for path in view.read)


def test_homes_secrets_and_checkouts_are_not() -> None:
    view = find_view()
    for path in (
        "/",
        "/etc",
        "/etc/passwd",
        "/home",
        "/root",
        "/tmp",
        "/proc",
        "/var",
        "/usr",
        str(Path.cwd()),
        str(Path.home()),
    ):
        assert not any(Path(path).is_relative_to(read) for read in view.read)
    assert view.devices == ("/dev/null", "/dev/zero", "/dev/urandom")


def test_only_folders_of_installed_packages_are_taken_from_the_path(tmp_path: Path) -> None:
    packages = tmp_path / "site-packages"
    for folder in (packages, tmp_path / "src"):
        folder.mkdir()
    further = [str(packages), str(tmp_path / "src"), "", str(tmp_path / "gone" / "site-packages")]
    code = (
        f"import sys; sys.path += {further!r} + {sys.path!r}\n"
        "from verifine.graders.sandbox.view import find_view\n"
        "view = find_view()\nprint(*view.packages)\nprint(*view.read)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    taken, read = told.stdout.splitlines()
    assert str(packages.resolve()) in taken.split()
    assert str(packages.resolve()) in read.split()
    assert str(tmp_path / "src") not in told.stdout
    assert str(tmp_path / "gone") not in told.stdout
