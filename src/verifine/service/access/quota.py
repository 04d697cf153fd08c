"""What an owner has used up."""

from __future__ import annotations

from verifine.errors import VerifineError


class QuotaError(VerifineError):
    """An owner has as much as an owner may have."""
