"""How the kernels are compiled, and what happens where they cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.models.network.compiled.test_kernels import has_compiler

from verifine.models.network.compiled.build import load_library

LOAD = "import sys; from pathlib import Path; from verifine.models.network.compiled.build import load_library; "


def program(folder: Path, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "c++"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_without_a_compiler_there_are_none(tmp_path: Path) -> None:
    assert load_library(tmp_path / "kernels", {"PATH": str(tmp_path)}) is None
    assert not (tmp_path / "kernels").exists()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("exit 1", id="that does not start"),
        pytest.param('[ "$1" = --version ] || exit 1', id="that refuses the source"),
        pytest.param('for last; do :; done; [ "$1" = --version ] || echo rubbish >"$last"', id="that writes rubbish"),
    ],
)
def test_with_a_broken_compiler_there_are_none(script: str, disk_folder: Path) -> None:
    program(disk_folder / "bin", script)
    assert load_library(disk_folder / "kernels", {"PATH": f"{disk_folder / 'bin'}:/usr/bin:/bin"}) is None


@has_compiler
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "kernels").write_text("a file", encoding="utf-8")
    assert load_library(tmp_path / "kernels") is None


@has_compiler
@pytest.mark.slow
def test_two_processes_compile_once_each_and_leave_one_file(disk_folder: Path) -> None:
    folder = disk_folder / "kernels"
    code = f"{LOAD} sys.exit(load_library(Path({str(folder)!r})) is None)"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    [library] = folder.iterdir()
    made = library.stat().st_mtime_ns
    assert load_library(folder) is not None
    assert library.stat().st_mtime_ns == made
