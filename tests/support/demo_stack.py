"""A local stack over what the demo made of a tiny drawn set: what tests through a real Airflow share."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import requests
import yaml

from infra.local import stack
from infra.local.credentials import ADMIN, read_password
from infra.local.task_logs import TaskLog, task_log_file
from ml.config import load_settings
from ml.layout import run_key, run_summary_key
from ml.storage import open_store, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from infra.local.airflow_api import AirflowApi, DagRun, TaskInstance
    from infra.local.layout import Layout
    from ml.config import Settings
    from ml.storage import Store

__all__ = ["DemoStack", "running_stack", "wait_until"]


@dataclass(frozen=True)
class DemoStack:
    """A stack that runs.

    Attributes:
        layout: its paths and ports.
        environ: that it was started with.
        api: Airflow's, for the administrator.
        settings: in force.
        store: that they name.
    """

    layout: Layout
    environ: Mapping[str, str]
    api: AirflowApi
    settings: Settings
    store: Store

    @property
    def url(self) -> str:
        """Of Airflow."""
        return self.layout.airflow_url

    def password(self, user: str = ADMIN) -> str:
        """A user's."""
        return read_password(self.layout, user)

    def session(self, user: str | None = None) -> requests.Session:
        """For requests to Airflow's web server as a user, or as nobody."""
        session = requests.Session()
        session.trust_env = False
        if user is not None:
            login = {"username": user, "password": self.password(user)}
            answer = session.post(f"{self.url}/auth/token", json=login, timeout=30)
            session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return session

    def run_json(self, run_id: str, *parts: str) -> Any:
        """A document of a run."""
        return read_json(self.store, run_key(run_id, *parts))

    def summaries(self) -> list[dict[str, Any]]:
        """What the Models page keeps of the runs that were decided on."""
        return [
            read_json(self.store, info.key) for info in self.store.list(run_summary_key(self.settings.model_name, ""))
        ]

    def configure(self, **sections: Mapping[str, Any]) -> None:
        """Change sections of the settings as an administrator does: in the file, and by `make up`."""
        path = self.layout.root / "quartet.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **sections}))
        stack.up(self.layout, environ=self.environ)

    def newest_run(self, dag_id: str) -> DagRun:
        """Of a DAG."""
        return self.api.latest_runs(dag_id, limit=1)[0]

    def finish(self, run: DagRun, seconds: float = 300) -> DagRun:
        """Wait for a run's success; that it fails is an assertion, with what its tasks left of their errors."""

        def ended() -> DagRun | None:
            current = self.api.dag_run(run.dag_id, run.run_id)
            return current if current.finished else None

        found = wait_until(ended, f"the end of {run.dag_id} {run.run_id}", seconds)
        assert found.state == "success", self._failures(found)
        return found

    def task(self, run: DagRun, task_id: str, map_index: int = -1) -> TaskInstance | None:
        """A task as it is now; None while it is not expanded."""
        found = self.api.task_instances(run.dag_id, run.run_id)
        return next((task for task in found if (task.task_id, task.map_index) == (task_id, map_index)), None)

    def wait_for_task(
        self, run: DagRun, task_id: str, state: str, map_index: int = -1, seconds: float = 240
    ) -> TaskInstance:
        """A task as soon as it is in a state; that the run ends before is an assertion."""

        def reached() -> TaskInstance | None:
            ended = self.api.dag_run(run.dag_id, run.run_id).finished
            task = self.task(run, task_id, map_index)
            if task is not None and task.state == state:
                return task
            assert not ended, self._failures(run)
            return None

        return wait_until(reached, f"{task_id} {state}", seconds)

    def kill_task(
        self, run: DagRun, task_id: str, map_index: int = -1, when: Callable[[psutil.Process], bool] = lambda _: True
    ) -> None:
        """Kill a task's process, and no other, by SIGKILL, as soon as something is true of it while it runs."""
        self.wait_for_task(run, task_id, "running", map_index)
        process = wait_until(lambda: self._process(run, task_id, map_index), f"process of {task_id}", 60, every=0.05)

        def is_time() -> bool:
            assert process.is_running(), f"{task_id} ended before it was killed"
            return when(process)

        wait_until(is_time, f"right moment to kill {task_id}", 240, every=0.005)
        process.kill()
        process.wait(30)

    def task_log(self, run: DagRun, task: TaskInstance) -> TaskLog:
        """What a task's latest try has logged."""
        return TaskLog(task_log_file(self.layout.task_logs, run.dag_id, run.run_id, task))

    def _process(self, run: DagRun, task_id: str, map_index: int) -> psutil.Process | None:
        """Of a task, which has the task instance's id as its title; the supervisor that started it has another."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{quote(run.run_id, safe='')}/taskInstances/{task_id}/{map_index}"
        with self.session(ADMIN) as session:
            title = f"airflow worker -- {session.get(f'{self.url}{path}', timeout=30).json()['id']}"
        return next((one for one in self.processes("scheduler") if _title(one) == title), None)

    def processes(self, component: str) -> list[psutil.Process]:
        """A component's, with all that it has started."""
        pid = next(one.pid for one in stack.status(self.layout) if one.name == component)
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]

    def _failures(self, run: DagRun) -> str:
        tasks = self.api.task_instances(run.dag_id, run.run_id)
        found = [f"{task.task_id} {task.state}: {self.task_log(run, task).failure()}" for task in tasks]
        return f"{run}\n" + "\n".join(found)


@contextmanager
def running_stack(root: Path, environ: Mapping[str, str]) -> Iterator[DemoStack]:
    """Bring a stack up over a root where it is not, and down at the end."""
    layout = stack.load_layout(root, environ)
    stack.up(layout, environ=environ)
    try:
        settings = load_settings(layout.settings_file, {})
        with stack.airflow_api(layout) as api:
            yield DemoStack(layout, environ, api, settings, open_store(settings.store))
    finally:
        stack.down(layout)


def _title(process: psutil.Process) -> str:
    try:
        return "".join(process.cmdline()).strip()
    except psutil.NoSuchProcess:  # it ended while the others were looked at
        return ""


def wait_until(look: Callable[[], Any], what: str, seconds: float, every: float = 0.3) -> Any:
    """What a look gives as soon as it gives something true; that it does not is an assertion."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"no {what} within {seconds:.0f} s"
        time.sleep(every)
    return found
