"""The application that Airflow mounts: the Models page, stored pages, actions, and what the widget on Home asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import FastAPI, HTTPException, Request, Response, status
from fastapi.responses import JSONResponse

from ml.errors import QuartetError
from plugins.models_page import actions, stored, tokens
from plugins.models_page.access import RightsDep, SeesModels
from plugins.models_page.context import ContextDep
from plugins.models_page.headers import add_headers
from plugins.models_page.home import headline_facts
from plugins.models_page.render import read_static, render
from plugins.models_page.timeline import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["create_app"]

ALL = ("actions", "production", "latest", "history", "pictures", "data")
#: What the tab of a DAG shows.
OF_DAGS: Mapping[str, tuple[str, ...]] = {
    "ingest_images": ("data",),
    "retrain": ("actions", "latest", "history"),
    "promote": ("actions", "production", "history"),
    "rollback": ("actions", "production", "history"),
    "monitor": ("production",),
    "batch_predict": ("production",),
}
HEADINGS = {401: "Not signed in", 403: "Not allowed", 404: "Not there", 400: "Not accepted"}


def create_app() -> FastAPI:
    """Quartet's pages; nobody sees any of them without signing in to Airflow."""
    app = FastAPI(title="Quartet", openapi_url=None, docs_url=None, redoc_url=None, dependencies=[SeesModels])
    app.middleware("http")(add_headers)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(QuartetError, _explain)
    app.add_api_route("/models", models, methods=["GET"])
    app.add_api_route("/dags/{dag_id}", of_dag, methods=["GET"])
    app.add_api_route("/api/headline", headline, methods=["GET"])
    app.add_api_route("/static/{name}", static, methods=["GET"])
    app.include_router(stored.router)
    app.include_router(actions.router)
    return app


def models(request: Request, user: GetUserDep, rights: RightsDep, context: ContextDep, notice: str = "") -> Response:
    """The Models page."""
    return _page(request, user, rights, context, ALL, notice)


def of_dag(request: Request, user: GetUserDep, rights: RightsDep, context: ContextDep, dag_id: str) -> Response:
    """The tab of a DAG: the part of the Models page that it makes."""
    if dag_id not in OF_DAGS:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"{dag_id} is none of Quartet's DAGs: {', '.join(OF_DAGS)}.")
    return _page(request, user, rights, context, OF_DAGS[dag_id], "")


def headline(context: ContextDep) -> dict[str, Any]:
    """What the widget on Home shows."""
    from ml.overview import load_headline

    found = load_headline(context, datetime.now(UTC))
    return {"model": found.model_name, "facts": [fact._asdict() for fact in headline_facts(found)]}


def static(name: str) -> Response:
    """Styles and scripts."""
    found = read_static(name)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no file {name!r}.")
    content, media_type = found
    return Response(content, media_type=media_type, headers={"Cache-Control": "private, max-age=300"})


def _page(
    request: Request, user: Any, rights: frozenset[str], context: Any, sections: tuple[str, ...], notice: str
) -> Response:
    from ml.overview import load_overview

    now = datetime.now(UTC)
    overview = load_overview(context, now)
    return render(
        request,
        "models.html.j2",
        overview=overview,
        drawing=draw(overview.history.points, now),
        sections=sections,
        rights=rights,
        variants=list(context.settings.variants),
        token=tokens.issue(actions.FORM, user.get_id()),
        notice=tokens.read(actions.NOTICE, notice, seconds=600) if notice else None,
    )


async def _refuse(request: Request, error: Exception) -> Response:
    """In words, as a page for people and as JSON for programs."""
    assert isinstance(error, HTTPException)
    if "text/html" not in request.headers.get("Accept", ""):
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
    heading = HEADINGS.get(error.status_code, "That did not work")
    content = {"heading": heading, "words": str(error.detail), "status": error.status_code}
    return render(request, "refusal.html.j2", error.status_code, **content)


async def _explain(request: Request, error: Exception) -> Response:
    """Settings that are wrong, or a store that does not answer."""
    return await _refuse(request, HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, str(error)))
