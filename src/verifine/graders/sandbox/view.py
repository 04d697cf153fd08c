"""What untrusted code may see of this machine's files: Python, its packages, and the libraries they need."""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/nix/store")
_FURTHER = ("/usr/share/zoneinfo", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_PACKAGES = ("site-packages", "dist-packages")
"""The names of folders for installed packages. Other folders on our path, such as a checkout, are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Paths without symbolic links in them; none lies below another."""

    interpreter: str
    packages: tuple[str, ...]
    """Folders to import from, besides the standard library."""
    read: tuple[str, ...]
    """Folders and files that may be read."""
    links: tuple[tuple[str, str], ...]
    """Symbolic links of the root directory into them: `/lib` and `usr/lib` where the two are one."""
    devices: tuple[str, ...]


def find_view() -> View:
    """The view for the running interpreter."""
    packages = [os.path.realpath(path) for path in sys.path if Path(path).name in _PACKAGES and Path(path).is_dir()]
    interpreter = os.path.realpath(sys.executable)
    python = [str(Path(sys.base_prefix, "lib")), sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    wanted = [path for path in (*python, *packages, *_LIBRARIES, *_FURTHER) if Path(path).exists()]
    return View(
        interpreter=interpreter,
        packages=tuple(dict.fromkeys(packages)),
        read=_outermost([os.path.realpath(path) for path in wanted]),
        links=tuple((path, str(Path(path).readlink())) for path in _LIBRARIES if Path(path).is_symlink()),
        devices=tuple(path for path in _DEVICES if Path(path).exists()),
    )


def _outermost(paths: list[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(Path(path).is_relative_to(above) for above in kept):
            kept.append(path)
    return tuple(kept)
