"""What an alert is about, in Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from ml.alerting.alert import Fact, Link

__all__ = ["RunReference"]


@dataclass(frozen=True)
class RunReference:
    """A run in Airflow, or one task of it; ``map_index`` is below 0 for a task that is not mapped."""

    dag_id: str
    run_id: str
    task_id: str | None = None
    map_index: int = -1
    try_number: int = 0

    def url(self, base_url: str) -> str:
        """Its page in Airflow's UI; a task's is its log."""
        url = f"{base_url.rstrip('/')}/dags/{quote(self.dag_id, safe='')}/runs/{quote(self.run_id, safe='')}"
        if self.task_id is None:
            return url
        mapped = f"/mapped/{self.map_index}" if self.map_index >= 0 else ""
        tried = f"?try_number={self.try_number}" if self.try_number > 0 else ""
        return f"{url}/tasks/{quote(self.task_id, safe='')}{mapped}{tried}"

    def answer_url(self, base_url: str) -> str:
        """The page in Airflow's UI where a task's question is answered."""
        return f"{RunReference(self.dag_id, self.run_id, self.task_id, self.map_index).url(base_url)}/required_actions"

    def links(self, base_url: str) -> tuple[Link, ...]:
        """Its pages in Airflow's UI: a task's log, and the run."""
        run = Link("run in Airflow", RunReference(self.dag_id, self.run_id).url(base_url))
        return (run,) if self.task_id is None else (Link("task log", self.url(base_url)), run)

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What names it."""
        facts = [Fact("DAG", self.dag_id), Fact("run", self.run_id)]
        if self.task_id is not None:
            mapped = f" [{self.map_index}]" if self.map_index >= 0 else ""
            facts += [Fact("task", f"{self.task_id}{mapped}"), Fact("try", str(self.try_number))]
        return tuple(facts)
