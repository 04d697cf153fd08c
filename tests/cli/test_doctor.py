from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.cli.machine_checks import State, check_disk, check_extras, check_processor, check_sandbox, check_versions
from verifine.graders.sandbox import Level, LevelReport, find_level
from verifine.machine.threads import Threads
from verifine.runs.environment import describe_environment

Command = Callable[..., tuple[int, str, str]]

NAMES = [
    "Python",
    "Verifine",
    "torch",
    "transformers",
    "processor",
    "threads",
    "memory",
    "disk here",
    "accelerator",
    "kernels",
    "model cache",
    "model hub",
    "sandbox",
    "data extras",
]


def test_this_machine_is_looked_at_from_every_side(verifine: Command, tmp_path: Path) -> None:
    code, out, err = verifine("doctor", "--json")
    told = json.loads(out)
    assert err == ""
    assert [check["name"] for check in told["checks"]] == NAMES
    is_ready = all(check["state"] != "missing" for check in told["checks"])
    assert (told["is_ready"], code) == (is_ready, 0 if is_ready else 3)
    found = {check["name"]: check["found"] for check in told["checks"]}
    assert found["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert str(tmp_path / "verifine-home") in found["model cache"]
    assert found["model hub"] == "not used, since HF_HUB_OFFLINE is set"
    level = find_level().level
    assert found["sandbox"].startswith("none" if level is None else level.value)


def test_people_get_a_line_for_each_thing_and_what_it_comes_to(verifine: Command) -> None:
    code, out, _ = verifine("doctor")
    lines = [line for line in out.splitlines() if line[:1] in {"✓", "!", "-", "✗"}]
    assert [line[2:18].rstrip() for line in lines] == NAMES
    assert out.splitlines()[-1].startswith("Verifine has what it needs here." if code == 0 else "Missing: ")


def test_a_missing_package_is_missing_with_the_way_out() -> None:
    environment = replace(describe_environment(), torch=None)
    checks = {check.name: check for check in check_versions(environment)}
    assert checks["transformers"].state is State.OK
    assert (checks["torch"].state, checks["torch"].found) == (State.MISSING, "not installed")
    assert "pip install torch" in checks["torch"].hints[0]


def test_cores_are_told_with_what_a_container_allows_and_who_gets_them() -> None:
    threads = Threads(compute=2, grading=2, data=1)
    environment = replace(describe_environment(), cpu="Some CPU", cores=2, core_quota=2.5, threads=threads)
    assert [(check.name, check.found) for check in check_processor(environment)] == [
        ("processor", "2 cores (this container may use 2.5), Some CPU"),
        ("threads", "2 compute, 2 grading, 1 data"),
    ]
    unlimited = replace(environment, cores=1, core_quota=None, threads=None)
    assert [check.found for check in check_processor(unlimited)] == ["1 core, Some CPU"]


def test_without_torch_the_doctor_says_so_and_goes_on() -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # Python's own way to make an import fail
        "sys.argv = ['verifine', 'doctor', '--json']\n"
        "from verifine.cli.main import main\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (3, "")
    checks = {check["name"]: check for check in json.loads(ended.stdout)["checks"]}
    assert checks["torch import"]["state"] == "missing"
    assert checks["torch import"]["found"].startswith("fails: ")
    assert "accelerator" not in checks
    assert "sandbox" in checks


def test_the_best_sandbox_is_fine_a_lesser_one_a_note_and_none_is_missing() -> None:
    hint = "Landlock 3: use Linux 6.2 or newer"
    full = check_sandbox(LevelReport(level=Level.FULL, details={"landlock": "version 7"}))
    lesser = check_sandbox(LevelReport(level=Level.KERNEL, missing=(hint,)))
    none = check_sandbox(LevelReport(level=None, missing=(hint, "another")))
    assert [check.state for check in (full, lesser, none)] == [State.OK, State.NOTE, State.MISSING]
    assert "landlock version 7" in full.found
    assert (lesser.hints, none.hints) == ((hint,), (hint, "another"))


def test_a_disk_is_asked_where_the_folder_will_be(tmp_path: Path) -> None:
    check = check_disk("model cache", tmp_path / "not" / "yet" / "there")
    assert check.found.endswith(f"GiB free at {tmp_path / 'not' / 'yet' / 'there'}")
    assert not (tmp_path / "not").exists()


def test_a_folder_that_cannot_be_written_to_is_missing() -> None:
    check = check_disk("disk here", Path("/proc/self"))
    assert (check.state, check.found) == (State.MISSING, "/proc/self cannot be written to")
    assert "VERIFINE_HOME" in check.hints[0]


@pytest.mark.parametrize(
    ("versions", "state", "hints"),
    [
        ({"datasets": "5.2.0", "pyarrow": "26.0.1"}, State.OK, 0),
        ({"datasets": None, "pyarrow": "26.0.1"}, State.NOTE, 1),
    ],
)
def test_packages_for_some_data_are_a_note(versions: dict[str, str | None], state: State, hints: int) -> None:
    check = check_extras(versions)
    assert (check.state, len(check.hints)) == (state, hints)
