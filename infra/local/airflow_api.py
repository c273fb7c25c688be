"""A small client of Airflow's REST API: what the local stack and the demo ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import requests

from infra.local.errors import AirflowApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["AirflowApi", "DagRun", "Health", "TaskInstance"]

TIMEOUT_SECONDS = 30.0
PAGE = 100
NOT_FOUND = 404
UNAUTHORIZED = 401
START_REMEDY = "Is the stack running? `make status` tells, `make up` starts it."


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG. ``state`` is queued, running, success or failed."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self.state in {"success", "failed"}


@dataclass(frozen=True)
class TaskInstance:
    """A task of a run; ``map_index`` is -1 unless it is mapped, ``map_label`` is what its template made of it."""

    task_id: str
    map_index: int
    map_label: str | None
    state: str | None
    try_number: int
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Health:
    """Of a part of Airflow: healthy, unhealthy, or None when it never ran; and when it last said so itself."""

    status: str | None
    heartbeat: datetime | None


class AirflowApi:
    """Signs in when first used, and again when the token has run out. A context manager.

    Args:
        url: of the API server, without ``/api``.
        user: as in the passwords file.
        password: as in the passwords file.
        timeout: of a request, seconds.
    """

    def __init__(self, url: str, user: str, password: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._login = {"username": user, "password": password}
        self._timeout = timeout
        self._session = requests.Session()
        # Proxies and .netrc are not for the loopback address.
        self._session.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def health(self) -> dict[str, Health]:
        """Health of metadatabase, scheduler, dag_processor and triggerer. Needs no sign-in."""
        parts = self._json(self._send("GET", "/api/v2/monitor/health"))
        return {
            name: Health(part["status"], _time(part.get(f"latest_{name}_heartbeat"))) for name, part in parts.items()
        }

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG processor has seen the DAG."""
        return self._call("GET", f"/dags/{quote(dag_id)}", missing_ok=True) is not None

    def import_errors(self) -> dict[str, str]:
        """DAG files that cannot be imported, with the traceback."""
        return {item["filename"]: item["stack_trace"] for item in self._pages("/importErrors", "import_errors")}

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs start."""
        self._call("PATCH", f"/dags/{quote(dag_id)}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> DagRun:
        """Start a run with these parameters."""
        # The key must be there: null means a run for no date.
        body = {"logical_date": None, "conf": dict(conf or {})}
        return _dag_run(self._call("POST", f"/dags/{quote(dag_id)}/dagRuns", body))

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """A run as it is now."""
        return _dag_run(self._call("GET", _run_path(dag_id, run_id)))

    def latest_runs(self, dag_id: str, limit: int = 10) -> list[DagRun]:
        """A DAG's runs, newest first."""
        answer = self._call("GET", f"/dags/{quote(dag_id)}/dagRuns?order_by=-run_after&limit={limit}")
        return [_dag_run(item) for item in answer["dag_runs"]]

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """A run's tasks, mapped ones each by itself once they are expanded."""
        items = self._pages(f"{_run_path(dag_id, run_id)}/taskInstances", "task_instances")
        return [_task_instance(item) for item in items]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """What a task returned, or pushed under the key; None when there is nothing."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        answer = self._call("GET", f"{path}?map_index={map_index}&stringify=false", missing_ok=True)
        return None if answer is None else answer["value"]

    def pools(self) -> dict[str, int]:
        """Slots by pool."""
        return {item["name"]: item["slots"] for item in self._pages("/pools", "pools")}

    def _pages(self, path: str, key: str) -> Iterator[Any]:
        seen = 0
        while True:
            answer = self._call("GET", f"{path}?limit={PAGE}&offset={seen}")
            yield from answer[key]
            seen += len(answer[key])
            if not answer[key] or seen >= answer["total_entries"]:
                return

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None, missing_ok: bool = False) -> Any:
        if "Authorization" not in self._session.headers:
            self._sign_in()
        answer = self._send(method, f"/api/v2{path}", body)
        if answer.status_code == UNAUTHORIZED:
            self._sign_in()
            answer = self._send(method, f"/api/v2{path}", body)
        if missing_ok and answer.status_code == NOT_FOUND:
            return None
        return self._json(answer)

    def _sign_in(self) -> None:
        self._session.headers.pop("Authorization", None)
        token = self._json(self._send("POST", "/auth/token", self._login))["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        url = f"{self.url}{path}"
        try:
            return self._session.request(method, url, json=body, timeout=self._timeout)
        except requests.RequestException as error:
            raise AirflowApiError(f"{method} {url}: {error}", START_REMEDY) from error

    def _json(self, answer: requests.Response) -> Any:
        where = f"{answer.request.method} {answer.url}"
        if not answer.ok:
            message = f"{where} answered {answer.status_code}: {answer.text[:500]}"
            raise AirflowApiError(message, _remedy(answer.status_code))
        try:
            return answer.json()
        except requests.JSONDecodeError as error:
            raise AirflowApiError(f"{where} answered without JSON.", "Is it Airflow that listens there?") from error


def _remedy(status_code: int) -> str:
    if status_code in (UNAUTHORIZED, 403):
        return "The passwords file belongs to another stack, or the user may not do this; see var/airflow."
    if status_code == NOT_FOUND:
        return "Check the id; `make logs` shows whether the DAG processor could read the DAG."
    return "The message says what to change; the API server's log in var/log says more."


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _dag_run(item: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=item["dag_id"],
        run_id=item["dag_run_id"],
        state=item["state"],
        run_type=item["run_type"],
        queued_at=_time(item["queued_at"]),
        started_at=_time(item["start_date"]),
        ended_at=_time(item["end_date"]),
    )


def _task_instance(item: Mapping[str, Any]) -> TaskInstance:
    return TaskInstance(
        task_id=item["task_id"],
        map_index=item["map_index"],
        map_label=item["rendered_map_index"],
        state=item["state"],
        try_number=item["try_number"],
        started_at=_time(item["start_date"]),
        ended_at=_time(item["end_date"]),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
