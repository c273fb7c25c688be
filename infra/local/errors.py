"""Errors of the local stack."""

from __future__ import annotations

from ml.errors import QuartetError

__all__ = ["AirflowApiError", "PortInUseError", "StackError"]


class StackError(QuartetError):
    """A component did not start, did not become healthy, or did not stop."""


class PortInUseError(StackError):
    """Something else listens where a component wants to."""


class AirflowApiError(QuartetError):
    """Airflow's API did not answer, or answered with an error."""
