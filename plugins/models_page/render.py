"""Templates and styles of the pages, on the ground of those that runs' own pages are made of."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, PackageLoader

from ml import layout
from ml.templating import make_environment
from ml.writing import WRITING, data_uri, duration
from plugins.addresses import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from fastapi import Request
    from jinja2 import Environment

__all__ = ["ago", "read_static", "render", "root_of"]

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
#: Before the words of what was done.
ICONS = {"promote": "▲", "rollback": "↩", "canary": "◐", "withdraw": "✕"}


def render(request: Request, template: str, status_code: int = 200, **content: Any) -> HTMLResponse:
    """A page; ``root`` is what stands before every address of this web server."""
    root = root_of(request)
    text = _environment().get_template(template).render(root=root, pages=f"{root}{PREFIX}", icons=ICONS, **content)
    return HTMLResponse(text, status_code)


def root_of(request: Request) -> str:
    """The path that Airflow lies below, mostly none."""
    return str(request.scope.get("root_path", "")).removesuffix(PREFIX)


@cache
def read_static(name: str) -> tuple[bytes, str] | None:
    """A style, script or icon, and its type; None where there is none of that name."""
    folder = files("ml.templates") if name == "report.css" else files("plugins.models_page") / "static"
    known = {entry.name: entry for entry in folder.iterdir()}
    kind = name.rpartition(".")[2]
    return (known[name].read_bytes(), TYPES[kind]) if name in known and kind in TYPES else None


def ago(age: timedelta) -> str:
    """How long ago something was, as people say it."""
    minutes = int(age.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    size, unit = next(
        (size, unit) for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")) if minutes >= 2 * size or size == 1
    )
    return f"{minutes // size} {unit}{'' if minutes // size == 1 else 's'}"


def _figure_path(key: str) -> str:
    """A picture's place below a run's folder, as an address has it."""
    return quote(key.removeprefix(layout.RUNS))


def _store_id(run_id: str) -> str:
    return quote(layout.safe_run_id(run_id), safe="")


@cache
def _environment() -> Environment:
    filters: dict[str, Callable[..., str]] = {
        "ago": ago,
        "data_uri": data_uri,
        "duration": duration,
        "figure_path": _figure_path,
        "store_id": _store_id,
    }
    environment = make_environment({**WRITING, **filters})
    assert environment.loader is not None
    environment.loader = ChoiceLoader([PackageLoader("plugins.models_page"), environment.loader])
    return environment
