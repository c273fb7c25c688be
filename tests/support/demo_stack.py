"""A local stack over what the demo made of a tiny drawn set: what tests through a real Airflow share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import requests
import yaml

from free_ports import free_ports
from infra.local import stack
from infra.local.credentials import ADMIN, read_password
from infra.local.task_logs import TaskLog, task_log_file
from ml.config import load_settings
from ml.layout import run_key
from ml.storage import open_store, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from infra.local.airflow_api import AirflowApi, DagRun, TaskInstance
    from infra.local.layout import Layout
    from infra.local.processes import State
    from ml.config import Settings
    from ml.storage import Store

__all__ = ["DemoRun", "DemoStack", "make_root", "run_demo", "running_stack", "stack_environment", "wait_until"]

ROOT = Path(__file__).resolve().parents[2]
PORTS = ("QUARTET_AIRFLOW_PORT", "QUARTET__SERVING__GRPC_PORT", "QUARTET__SERVING__REST_PORT")
SETTINGS = {
    "model_name": "tiny",
    "images": {"size": 64},
    "variants": {"narrow": {"backbone": "mobilenet", "alpha": 0.25}, "wide": {"backbone": "mobilenet", "alpha": 0.5}},
    "weights": "random",
    # Every epoch is kept, so that a training that is killed after its first one has something to go on from.
    "train": {
        "epochs": 12,
        "batch_size": 8,
        "learning_rate": 0.003,
        "units": 16,
        "heads": 2,
        "key_dim": 8,
        "checkpoint_seconds": 0,
    },
    "validation": {"min_images_per_class": 3},
    "gate": {"min_macro_f1": 0.0, "champion_margin": 0},
}
#: Airflow's own way for an installation to change the tasks of all DAGs: a retry comes at once instead of after half a
#: minute, and is a retry by Airflow all the same.
POLICY = """
from datetime import timedelta


def task_policy(task):
    task.retry_delay = timedelta(seconds=1)
"""


def stack_environment() -> dict[str, str]:
    """An environment with free ports for a stack, and none of the settings of whoever runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUARTET")}
    return inherited | {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}


def make_root(root: Path) -> Path:
    """Lay DAGs, plugins and the settings of two narrow variants into a folder."""
    for name in ("dags", "plugins"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "quartet.yaml").write_text(yaml.safe_dump(SETTINGS))
    policy = root / "var/airflow/config/airflow_local_settings.py"
    policy.parent.mkdir(parents=True)
    policy.write_text(POLICY)
    return root


@dataclass(frozen=True)
class DemoRun:
    """What the demo printed and returned, and the states of the stack's components after it."""

    status: int
    output: str
    errors: str
    states: set[State]


def run_demo(root: Path, data: Path, environ: Mapping[str, str]) -> DemoRun:
    """``make demo`` over a root of `make_root` and a folder of images."""
    result = subprocess.run(
        [sys.executable, "-m", "infra.local", "demo", "--root", str(root), "--data", str(data)],
        cwd=ROOT,
        env={**environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )
    states = {component.state for component in stack.status(stack.load_layout(root, environ))}
    return DemoRun(result.returncode, result.stdout, result.stderr, states)


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
        return TaskLog(task_log_file(self.layout, run.dag_id, run.run_id, task))

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
