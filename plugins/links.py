"""Buttons of tasks: to the pages that they have written, and to the runs of the tracking server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink

from plugins import addresses

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from plugins.task_log import Telling

__all__ = [
    "DATA_DOCS",
    "EXTRA_LINKS",
    "HOUSEKEEPING_PAGE",
    "MLFLOW_RUN",
    "MODELS_PAGE",
    "MONITOR_PAGE",
    "RUN_PAGE",
    "SNAPSHOT_PAGE",
    "PageLink",
]


class PageLink(BaseOperatorLink):
    """A button that appears when its task has ended and has something to show.

    Airflow asks for the link on the worker, once the task has ended, and keeps the answer as the task's XCom; its web
    server shows no button for an empty one. A task has the links that its class names, so that there is nothing for a
    plugin to register.
    """

    title: ClassVar[str]

    @property
    def name(self) -> str:
        """On the button."""
        return self.title

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """The address; within this Airflow without its host, since people may know it under another one."""
        telling: Telling | None = getattr(operator, "telling", None)
        address = telling.pages.get(self.name, "") if telling else ""
        base = urlsplit(addresses.base_address())
        return address.removeprefix(f"{base.scheme}://{base.netloc}")

    def find(self, telling: Telling) -> str:
        """The full address; empty where there is no such page."""
        raise NotImplementedError


class RunPage(PageLink):
    """The page of a run of `retrain`, which `report` writes at its end, and `approve` before it waits."""

    title = "Run's page"

    def find(self, telling: Telling) -> str:
        """Of the task's run."""
        return addresses.run_page(addresses.base_address(), telling.arguments["retrain_id"])


class SnapshotPage(PageLink):
    """A snapshot's page, with its pictures and how it was validated."""

    title = "Snapshot's page"

    def find(self, telling: Telling) -> str:
        """Of the snapshot that the task was given or has made, if it has a page."""
        snapshot_id = _snapshot_with(telling, "report/index.html")
        return addresses.snapshot_page(addresses.base_address(), snapshot_id) if snapshot_id else ""


class DataDocs(PageLink):
    """Great Expectations' own pages about a snapshot; none with `validation.data_docs` off."""

    title = "Data Docs"

    def find(self, telling: Telling) -> str:
        """Of the snapshot that the task was given or has made, if it has them."""
        snapshot_id = _snapshot_with(telling, "report/gx/index.html")
        return addresses.data_docs_page(addresses.base_address(), snapshot_id) if snapshot_id else ""


class MonitorPage(PageLink):
    """The page of a run of `monitor`."""

    title = "Monitor's page"

    def find(self, telling: Telling) -> str:
        """Of the task's run; empty until it is written."""
        written = telling.result is not None
        return addresses.monitoring_page(addresses.base_address(), telling.run_id) if written else ""


class HousekeepingPage(PageLink):
    """The page of a run of `housekeeping`: what goes or went, what stays, and why."""

    title = "Housekeeping's page"

    def find(self, telling: Telling) -> str:
        """Of the task's run; empty until it is written."""
        written = telling.result is not None
        return addresses.housekeeping_page(addresses.base_address(), telling.run_id) if written else ""


class MlflowRun(PageLink):
    """The run of one candidate at the tracking server; none where this is a file or a database, without pages."""

    title = "MLflow run"

    def find(self, telling: Telling) -> str:
        """Of the variant that the task was given, or of the candidate that it returned."""
        if telling.opened is None or telling.result is None:
            return ""
        from ml import layout
        from ml.registry import Registry
        from ml.storage import read_json

        candidate = telling.arguments.get("variant") or telling.result
        key = layout.run_key(telling.arguments["retrain_id"], candidate, "candidate.json")
        tracked = read_json(telling.opened.store, key)["mlflow_run_id"]
        return Registry(telling.opened.settings).page(tracked) or ""


class ModelsPage(PageLink):
    """What serves, its history, and the buttons to change it."""

    title = "Models"

    def find(self, telling: Telling) -> str:  # noqa: ARG002 - it is the same for every task
        """Always there."""
        return addresses.models_page(addresses.base_address())


RUN_PAGE, SNAPSHOT_PAGE, DATA_DOCS = RunPage(), SnapshotPage(), DataDocs()
MONITOR_PAGE, MLFLOW_RUN, MODELS_PAGE = MonitorPage(), MlflowRun(), ModelsPage()
HOUSEKEEPING_PAGE = HousekeepingPage()
#: All there are.
EXTRA_LINKS: list[PageLink] = [
    RUN_PAGE,
    SNAPSHOT_PAGE,
    DATA_DOCS,
    MONITOR_PAGE,
    HOUSEKEEPING_PAGE,
    MLFLOW_RUN,
    MODELS_PAGE,
]


def _snapshot_with(telling: Telling, name: str) -> str:
    from ml import layout

    snapshot_id: Any = telling.result if isinstance(telling.result, str) else telling.arguments.get("snapshot_id")
    if telling.opened is None or not snapshot_id:
        return ""
    written = telling.opened.store.head(layout.snapshot_key(snapshot_id, name)) is not None
    return str(snapshot_id) if written else ""
