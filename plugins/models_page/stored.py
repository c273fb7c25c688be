"""Pages and pictures that the pipeline has written into the store."""

from __future__ import annotations

from pathlib import PurePosixPath

from fastapi import APIRouter, HTTPException, Response, status

from ml import layout
from ml.errors import InvalidKeyError, NotFoundError
from ml.removed_runs import removed_on
from ml.storage import Store, validate_key
from plugins.models_page.context import ContextDep
from plugins.models_page.headers import NO_SCRIPTS

__all__ = ["router"]

router = APIRouter()

#: Files of these endings are shown, others are not.
TYPES = {
    ".css": "text/css",
    ".csv": "text/csv",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".md": "text/plain",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
FILES_OF_A_RUN = ("report.html", "label_issues.csv", layout.DECISION, layout.APPROVAL)
PICTURES = (".png", ".webp")


@router.get("/runs/{run_id}/{name}")
def run_file(context: ContextDep, run_id: str, name: str) -> Response:
    """A run's page, or what it names."""
    if name not in FILES_OF_A_RUN:
        raise _missing(f"{name} of run {run_id}")
    return _stored(context.store, layout.run_key(run_id, name), _hint(context.store, run_id))


@router.get("/snapshots/{snapshot_id}/report/{path:path}")
def snapshot_file(context: ContextDep, snapshot_id: str, path: str) -> Response:
    """A snapshot's page and Great Expectations' own ones."""
    return _stored(
        context.store,
        layout.snapshot_key(snapshot_id, f"report/{path}"),
        "The task `validate` writes it; `quartet forget` removes what shows a forgotten image.",
    )


@router.get("/monitoring/{monitor_id}/report.html")
def monitoring_file(context: ContextDep, monitor_id: str) -> Response:
    """The page of a run of `monitor`."""
    return _stored(context.store, layout.monitoring_key(context.settings.model_name, monitor_id, "report.html"))


@router.get("/figures/{run_id}/{variant}/{name}")
def figure(context: ContextDep, run_id: str, variant: str, name: str) -> Response:
    """A picture of one of a run's candidates."""
    if not name.endswith(PICTURES):
        raise _missing(f"picture {name}")
    return _stored(context.store, layout.run_key(run_id, variant, name))


@router.get("/housekeeping/{housekeeping_id}/report.html")
def housekeeping_file(context: ContextDep, housekeeping_id: str) -> Response:
    """The page of a run of `housekeeping`."""
    return _stored(context.store, layout.housekeeping_key(housekeeping_id, "report.html"))


def _hint(store: Store, run_id: str) -> str:
    day = removed_on(store, run_id)
    if day is not None:
        return f"Retention removed the files of this run on {day}; its figures stay on the Models page and in MLflow."
    return "The task `report` writes it, at a run's end."


def _stored(store: Store, key: str, hint: str = "") -> Response:
    media_type = TYPES.get(PurePosixPath(key).suffix)
    if media_type is None:
        raise _missing(key)
    try:
        # Also refuses what would lead out of its folder.
        validate_key(key)
        content = store.get(key)
    except (InvalidKeyError, NotFoundError) as error:
        raise _missing(key, hint) from error
    return Response(content, media_type=media_type, headers={"Content-Security-Policy": NO_SCRIPTS})


def _missing(what: str, hint: str = "") -> HTTPException:
    words = f"There is no {what} in the store, or it is not to be shown. {hint}".rstrip()
    return HTTPException(status.HTTP_404_NOT_FOUND, words)
