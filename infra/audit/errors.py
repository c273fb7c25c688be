"""What an audit that fails says."""

from __future__ import annotations

from ml.errors import QuartetError

__all__ = ["AuditError"]


class AuditError(QuartetError):
    """Something was found, or could not be looked for."""
