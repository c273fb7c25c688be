"""Addresses, in Airflow's web server, of what Quartet shows there: for alerts, extra links and the pages themselves."""

from __future__ import annotations

from urllib.parse import quote

from airflow.sdk.configuration import conf

from ml.layout import safe_run_id

__all__ = [
    "PREFIX",
    "base_address",
    "data_docs_page",
    "housekeeping_page",
    "models_page",
    "monitoring_page",
    "run_page",
    "snapshot_page",
]

#: Where Airflow mounts the pages.
PREFIX = "/quartet"


def base_address() -> str:
    """Of Airflow's web server, as its own configuration says; where it says nothing, as it listens by default."""
    return str(conf.get("api", "base_url", fallback=None) or "http://localhost:8080").rstrip("/")


def models_page(base_url: str) -> str:
    """The Models page, within Airflow's UI."""
    return f"{base_url.rstrip('/')}/plugin/models"


def run_page(base_url: str, run_id: str) -> str:
    """The page that a run of `retrain` has written; ``run_id`` as Airflow or as the store spells it."""
    return f"{base_url.rstrip('/')}{PREFIX}/runs/{_part(safe_run_id(run_id))}/report.html"


def snapshot_page(base_url: str, snapshot_id: str) -> str:
    """The page of a snapshot: its pictures, and how it was validated."""
    return f"{base_url.rstrip('/')}{PREFIX}/snapshots/{_part(snapshot_id)}/report/index.html"


def data_docs_page(base_url: str, snapshot_id: str) -> str:
    """The same validation as Great Expectations shows it."""
    return f"{base_url.rstrip('/')}{PREFIX}/snapshots/{_part(snapshot_id)}/report/gx/index.html"


def monitoring_page(base_url: str, monitor_id: str) -> str:
    """The page that a run of `monitor` has written."""
    return f"{base_url.rstrip('/')}{PREFIX}/monitoring/{_part(safe_run_id(monitor_id))}/report.html"


def housekeeping_page(base_url: str, housekeeping_id: str) -> str:
    """The page that a run of `housekeeping` has written."""
    return f"{base_url.rstrip('/')}{PREFIX}/housekeeping/{_part(safe_run_id(housekeeping_id))}/report.html"


def _part(text: str) -> str:
    return quote(text, safe="")
