"""Airflow of several workers, as in production: CeleryExecutor, PostgreSQL, Redis, users in FAB, a store behind S3.

The settings are those of `infra/compose/airflow.env`. Each worker has what a host of its own would have, and shares
nothing with the others but the servers: its own working directory, home, temporary folder and cache.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import requests
import yaml
from celery import Celery

from demo_run import POLICY
from demo_stack import wait_until
from free_ports import free_ports
from infra.local.airflow_api import AirflowApi
from infra.local.errors import AirflowApiError
from ml.config import load_settings
from ml.phantom import draw_phantoms
from ml.storage import open_store
from s3_servers import SECRET_KEY, moto_server
from system_servers import postgres_server, redis_server
from worker_host import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from wsgiref.types import WSGIEnvironment

    from infra.local.airflow_api import DagRun
    from ml.storage import Store

__all__ = ["ADMIN", "AIRFLOW_ENV", "VIEWER", "CeleryStack", "Request", "celery_stack", "read_env_file"]

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW_ENV = ROOT / "infra/compose/airflow.env"
ADMIN, VIEWER = "admin", "viewer"
#: By name: the queue, and how many tasks it runs at once.
WORKERS = {"default-1": ("default", 2), "gpu-1": ("gpu", 1), "gpu-2": ("gpu", 1)}
GPU_SLOTS = 2
BUCKET = "quartet"
SETTINGS: dict[str, Any] = {
    "model_name": "tiny",
    "images": {"size": 32},
    "variants": {"narrow": {"backbone": "mobilenet", "alpha": 0.25}},
    "weights": "random",
    # Three parts of four shards each, and a rest.
    "features": {"shard_size": 4, "part_size": 16},
    "train": {"epochs": 1, "batch_size": 8, "units": 16, "heads": 2, "key_dim": 8},
    "validation": {"min_images_per_class": 3},
    "evaluation": {"changed_images": 0, "faithfulness_images": 0},
    # Nothing clears it: what comes after the gate needs a model server, and is for other tests.
    "gate": {"min_macro_f1": 1.0},
}
#: For tests only: so that nobody waits a minute and a half for Airflow to miss the dead, and half a minute more.
HEARTBEAT_SECONDS = 20
HEALTHY_SECONDS = 120.0
#: Several commands of Airflow's in one process, since each takes seconds to import.
HEALTH = ("metadatabase", "scheduler", "dag_processor")
QUARTET = "import sys; from ml.cli import app; app(sys.argv[1:])"
COMMANDS = """
import sys
from airflow.cli.cli_parser import get_parser
commands = ["db migrate"] + [f"users create -u {u} -r {r} -e {u}@example.org -f {u} -l {u} -p {p}"
                             for u, r, p in zip(*[iter(sys.argv[1:])] * 3)]
for command in commands:
    arguments = get_parser().parse_args(command.split())
    arguments.func(arguments)
"""


def read_env_file(path: Path) -> dict[str, str]:
    """Variables of a file as compose's ``env_file`` reads it: comments begin with ``#``."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True)
class Request:
    """What somebody asked the store: who, by the name in the access key, how, and for which key."""

    by: str
    method: str
    key: str


@dataclass
class CeleryStack:
    """A stack that runs.

    Attributes:
        folder: of all that it writes outside its servers.
        url: of Airflow.
        passwords: by user.
        environments: by component.
        requests: to the store, in the order in which they came.
        on_request: is told of each before it is answered.
    """

    folder: Path
    url: str
    passwords: Mapping[str, str]
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    on_request: Callable[[Request], None] = lambda _: None
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @cached_property
    def api(self) -> AirflowApi:
        """Airflow's, for the administrator."""
        return AirflowApi(self.url, ADMIN, self.passwords[ADMIN])

    @property
    def store(self) -> Store:
        """As whoever tests sees it."""
        return open_store(load_settings(self.folder / "quartet.yaml", {}).store)

    def session(self, user: str | None = None) -> requests.Session:
        """For requests to Airflow's web server with a user's token, or as nobody."""
        session = requests.Session()
        session.trust_env = False
        if user is not None:
            login = {"username": user, "password": self.passwords[user]}
            answer = session.post(f"{self.url}/auth/token", json=login, timeout=60)
            assert answer.ok, answer.text
            session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return session

    def finish(self, run: DagRun, seconds: float = 300) -> DagRun:
        """Wait for a run's success; that it fails is an assertion, with the states of its tasks."""

        def ended() -> DagRun | None:
            current = self.api.dag_run(run.dag_id, run.run_id)
            return current if current.finished else None

        found: DagRun = wait_until(ended, f"the end of {run.dag_id} {run.run_id}", seconds)
        states = {(task["task_id"], task["map_index"]): task["state"] for task in self.tries(run)}
        assert found.state == "success", f"{states}; the logs are below {self.folder}"
        return found

    def tries(self, run: DagRun) -> list[dict[str, Any]]:
        """Each try of each task that was given to a worker, as Airflow's API tells of it."""
        path = f"{self.url}/api/v2/dags/{run.dag_id}/dagRuns/{quote(run.run_id, safe='')}/taskInstances"
        with self.session(ADMIN) as session:
            tasks = session.get(path, params={"limit": 100}, timeout=60).json()["task_instances"]
            found = []
            for task in tasks:
                if task["try_number"] < 2:
                    found.append(task)
                else:
                    tries = f"{path}/{task['task_id']}/{task['map_index']}/tries"
                    found += session.get(tries, timeout=60).json()["task_instances"]
        return [task for task in found if task["hostname"]]

    def family(self, name: str) -> list[psutil.Process]:
        """A component with all that it has started, task processes in groups of their own too."""
        leader = psutil.Process(self.processes[name].pid)
        return [leader, *leader.children(recursive=True)]

    def kill(self, name: str) -> None:
        """End a component at once, as if its host had lost power."""
        for process in (family := self.family(name)):
            process.kill()
        psutil.wait_procs(family, 10)
        self.processes[name].wait(10)

    def watch(self, environ: WSGIEnvironment) -> None:
        """Note a request to the store."""
        by = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0]
        key = environ["PATH_INFO"].partition(f"/{BUCKET}/")[2]
        request = Request(by, environ["REQUEST_METHOD"], key)
        self.requests.append(request)
        self.on_request(request)

    def start(self, name: str, *arguments: str) -> None:
        """Start a component with its environment; what it prints is in ``<name>/log``."""
        cwd = self.folder / name
        with (cwd / "log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments],
                cwd=cwd,
                env=self.environments[name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def require_alive(self) -> None:
        """That a component has ended is an assertion, with what it printed."""
        for name, process in self.processes.items():
            assert process.poll() is None, (
                f"{name} ended:\n{(self.folder / name / 'log').read_text(errors='replace')[-4000:]}"
            )

    def end(self) -> None:
        """Kill whatever runs."""
        for name, process in self.processes.items():
            if process.poll() is None:
                self.kill(name)


@contextmanager
def celery_stack(folder: Path, postgres: Path) -> Iterator[CeleryStack]:
    """Start everything, with the images of a drawn set taken in already, and end it with the block.

    Args:
        folder: empty; is kept.
        postgres: folder with PostgreSQL's programs.
    """
    with ExitStack() as servers:
        database = servers.enter_context(postgres_server(postgres, ["airflow", "celery"]))
        broker = servers.enter_context(redis_server())
        (port,) = free_ports(1)
        passwords = {user: secrets.token_hex(16) for user in (ADMIN, VIEWER)}
        stack = CeleryStack(folder, f"http://127.0.0.1:{port}", passwords)
        store = servers.enter_context(moto_server(stack.watch))
        store.bucket(BUCKET)
        _write_settings(folder, store.endpoint)
        stack.environments |= _environments(folder, stack.url, database, broker)
        servers.callback(stack.end)
        _prepare(stack)
        stack.start("api-server", "api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        stack.start("scheduler", "scheduler", "--skip-serve-logs")
        stack.start("dag-processor", "dag-processor")
        for name, (queue, slots) in WORKERS.items():
            options = ("--queues", queue, "--concurrency", str(slots), "--celery-hostname", f"{name}@%h")
            stack.start(name, "celery", "worker", *options, "--skip-serve-logs")
        _wait_ready(stack, broker)
        yield stack


def _write_settings(folder: Path, endpoint: str) -> None:
    document = SETTINGS | {
        "store": {"url": f"s3://{BUCKET}", "endpoint_url": endpoint},
        "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
    }
    (folder / "quartet.yaml").write_text(yaml.safe_dump(document))


def _environments(folder: Path, url: str, database: str, broker: str) -> dict[str, dict[str, str]]:
    """What each component is told. Workers know neither the metadata database nor the secrets of the API server."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    shared = inherited | read_env_file(AIRFLOW_ENV) | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "worker_host.host_name",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CELERY__BROKER_URL": f"redis://{broker}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://celery@{database}/celery",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_SECONDS),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "QUARTET_CONFIG": str(folder / "quartet.yaml"),
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests/support")]),
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }  # fmt: skip
    central = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@{database}/airflow",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
    }
    nowhere = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"}
    found = {}
    for name in ("api-server", "scheduler", "dag-processor", *WORKERS):
        home = folder / name
        for path in (home / "config", home / "tmp"):
            path.mkdir(parents=True)
        (home / "config/airflow_local_settings.py").write_text(POLICY)
        found[name] = shared | (nowhere if name in WORKERS else central) | {
            "AIRFLOW_HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "QUARTET__STORE__CACHE_DIR": str(home / "cache"),
            "AWS_ACCESS_KEY_ID": name,
            VARIABLE: name,
        }  # fmt: skip
    return found


def _prepare(stack: CeleryStack) -> None:
    """Make the database and its users while the images are taken in."""
    drawn = draw_phantoms(stack.folder / "images", 10)
    users = [(user, role, stack.passwords[user]) for user, role in ((ADMIN, "Admin"), (VIEWER, "Viewer"))]
    with _python(stack, "database", COMMANDS, *(word for user in users for word in user)):
        for words in (("upload", str(drawn.folder)), ("ingest",)):
            with _python(stack, "ingest", QUARTET, *words):
                pass


@contextmanager
def _python(stack: CeleryStack, name: str, program: str, *arguments: str) -> Iterator[None]:
    """Run a program beside the block; that it fails is an assertion."""
    path = stack.folder / f"{name}.log"
    command = [sys.executable, "-c", program, *arguments]
    with path.open("ab") as log:
        process = subprocess.Popen(
            command, cwd=stack.folder / "api-server", env=stack.environments["api-server"], stdout=log, stderr=log
        )
    try:
        yield
        status = process.wait(HEALTHY_SECONDS)
        assert status == 0, path.read_text(errors="replace")[-4000:]
    finally:
        process.kill()
        process.wait()


def _wait_ready(stack: CeleryStack, broker: str) -> None:
    def airflow_ready() -> bool:
        stack.require_alive()
        try:
            health = stack.api.health()
            return all(health[part].status == "healthy" for part in HEALTH) and stack.api.has_dag("retrain")
        except AirflowApiError:
            return False

    wait_until(airflow_ready, "healthy Airflow", HEALTHY_SECONDS)
    pool = {"name": "gpu", "slots": GPU_SLOTS, "description": "one for each of the workers"}
    with stack.session(ADMIN) as session:
        answer = session.post(f"{stack.url}/api/v2/pools", json=pool, timeout=60)
        assert answer.status_code == 201, answer.text
    with Celery(broker=f"redis://{broker}/0") as app:

        def workers_ready() -> bool:
            stack.require_alive()
            return len(app.control.ping(timeout=0.5)) == len(WORKERS)

        wait_until(workers_ready, "workers", HEALTHY_SECONDS)
