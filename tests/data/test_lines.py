from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verifine.data import read_examples
from verifine.data.lines import read_lines
from verifine.errors import DataError


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    os.mkfifo(path)
    with pytest.raises(DataError, match=r"train.jsonl is a pipe"):
        read_examples(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(DataError, match=r"train.jsonl .*Permission denied"):
        read_examples(path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that opens and cannot be read")
def test_a_file_that_cannot_be_read_to_its_end_is_told() -> None:
    with pytest.raises(DataError, match=r"/proc/self/mem .*Input/output error"):
        list(read_lines(Path("/proc/self/mem")))


def test_a_name_that_no_file_can_have_is_told() -> None:
    with pytest.raises(DataError, match="File name too long"):
        read_examples(Path("x" * 5000 + ".jsonl"))


def test_a_link_that_leads_in_a_circle_is_told(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.symlink_to(path)
    with pytest.raises(DataError, match=r"train.jsonl .*symbolic links"):
        read_examples(path)


def test_a_line_of_the_limit_is_read_and_the_one_after_a_longer_one_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    limit = 1 << 20
    path.write_bytes(b"a" * (limit - 1) + b"\n" + b"b" * (3 * limit) + b"\nlast")
    first, second, third = read_lines(path)
    assert (len(first.text), first.fault) == (limit, None)
    assert second.fault is not None
    assert second.fault.startswith("the line has 3,145,729 bytes")
    assert (third.number, third.text, third.fault) == (3, "last", None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_a_line_of_any_length_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    with path.open("wb") as file:
        file.truncate(200 << 20)  # zeros that take no space on disk
    program = (
        "import sys; from pathlib import Path; from verifine.data.lines import read_lines\n"
        "def peak():\n    return int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
        "before = peak()\n"
        "lines = list(read_lines(Path(sys.argv[1])))\n"
        "print(len(lines), peak() - before)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, path],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    count, growth = map(int, printed.split())
    assert count == 1
    assert growth < 20_000  # kilobytes
