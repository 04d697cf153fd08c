"""Compiles the kernels for this processor, once, where there is a compiler."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("kernels.cpp")
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC")
OPENMP_NAMES = ("libgomp*.so*", "libiomp5.so", "libomp.so")
COMPILING_S = 120.0


def load_library(folder: Path, environment: Mapping[str, str] = os.environ) -> ctypes.CDLL | None:
    """The kernels, from `folder` or newly compiled into it; None where that cannot be done.

    Its threads are torch's own: it is linked with the OpenMP library that torch has loaded, as a second one would have
    a team that competes for the cores.
    """
    compiler = next(filter(None, (shutil.which(each, path=environment.get("PATH")) for each in COMPILERS)), None)
    if compiler is None or platform.system() != "Linux":
        return None
    with suppress(OSError, subprocess.SubprocessError):
        _share_openmp()
        path = folder / f"{_name(compiler)}.so"
        if not path.exists():
            _compile(compiler, path)
        return ctypes.CDLL(str(path))
    return None


def _name(compiler: str) -> str:
    """Differs wherever the result may."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True, timeout=COMPILING_S).stdout
    facts = [*FLAGS, compiler, torch.__version__, str(sorted(torch.cpu.get_capabilities().items()))]
    sources = b"".join(path.read_bytes() for path in sorted(SOURCE.parent.glob("*.[hc]*")))
    return f"kernels-{hashlib.sha256(sources + version + repr(facts).encode()).hexdigest()[:16]}"


def _compile(compiler: str, path: Path) -> None:
    """Two processes may do so at the same time: the file appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        compiled, linked = Path(work) / "kernels.o", Path(work) / "kernels.so"
        _run([compiler, *FLAGS, "-c", str(SOURCE), "-o", str(compiled)])
        # Without -fopenmp: its library is already there.
        _run([compiler, "-shared", str(compiled), "-o", str(linked)])
        linked.replace(path)


def _run(command: Iterable[str]) -> None:
    subprocess.run([*command], capture_output=True, check=True, timeout=COMPILING_S)


def _share_openmp() -> None:
    """Lets the kernels find the functions of torch's OpenMP library.

    Raises:
        OSError: torch brings none.
    """
    package = Path(torch.__file__).parent
    folders = (package / "lib", package.parent / "torch.libs")
    found = [path for folder in folders for name in OPENMP_NAMES for path in sorted(folder.glob(name))]
    if not found:
        raise FileNotFoundError("torch has no OpenMP library of its own")
    ctypes.CDLL(str(found[0]), mode=ctypes.RTLD_GLOBAL)
