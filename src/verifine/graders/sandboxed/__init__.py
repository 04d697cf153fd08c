"""Programs of ours that are run in the sandbox: there foreign text is parsed, and foreign code executed."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def sandboxed_source(name: str) -> str:
    """The source of the module of that name in this folder, for a `Call`."""
    return (_FOLDER / f"{name}.py").read_text(encoding="utf-8")
