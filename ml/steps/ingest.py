"""The first three tasks of ``ingest_images`` in a row, for those who run them by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.steps import assemble, list_arrivals, take_in

if TYPE_CHECKING:
    from datetime import datetime

    from ml.context import Context

__all__ = ["run"]


def run(context: Context, now: datetime) -> dict[str, Any]:
    """Read what is new in the landing zone and write a snapshot that nothing points to yet.

    Returns:
        What :func:`ml.steps.assemble.run` does.

    Raises:
        DataError: see :func:`ml.steps.list_arrivals.run` and :func:`ml.steps.assemble.run`.
    """
    ingest_id = f"cli-{now:%Y%m%dT%H%M%S.%f}"
    for chunk in list_arrivals.run(context, ingest_id, now):
        take_in.run(context, ingest_id, chunk)
    return assemble.run(context, ingest_id)
