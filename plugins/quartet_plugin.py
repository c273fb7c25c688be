"""What Quartet adds to Airflow's UI: the Models page, a tab on its DAGs, a widget on Home, links of tasks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from plugins.addresses import PREFIX

__all__ = ["QuartetPlugin"]


VIEWS = [
    {
        "name": "Models",
        "href": f"{PREFIX}/models",
        "destination": "nav",
        "url_route": "models",
        "icon": f"{PREFIX}/static/models.svg",
        "icon_dark_mode": f"{PREFIX}/static/models-dark.svg",
        "nav_top_level": True,
    },
    {"name": "Models", "href": f"{PREFIX}/dags/{{DAG_ID}}", "destination": "dag", "url_route": "quartet"},
]
WIDGETS = [
    {
        "name": "QuartetChampion",
        "bundle_url": f"{PREFIX}/static/home.js",
        "destination": "dashboard",
        "url_route": "quartet-champion",
    }
]


class QuartetPlugin(AirflowPlugin):
    """Registered by being found in the folder of plugins."""

    name = "quartet"
    external_views = VIEWS
    react_apps = WIDGETS

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Built when the API server asks: every other component loads this module too, and needs no web server."""
        from plugins.models_page.app import create_app

        return [{"app": create_app(), "url_prefix": PREFIX, "name": "Quartet"}]
