"""Our programs that run in the sandbox, where they parse untrusted text and execute untrusted code."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def program_source(name: str) -> str:
    """The source of the module of that name in this folder, for a `Call`."""
    return (_FOLDER / f"{name}.py").read_text(encoding="utf-8")
