"""`python -m verifine` is the `verifine` command."""

from __future__ import annotations

from verifine.cli.main import main

main()
