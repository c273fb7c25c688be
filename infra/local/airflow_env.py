"""The environment that configures every Airflow component, and the one that all components share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.credentials import ADMIN, VIEWER
from infra.local.layout import HOST
from ml.config import ENV_FILE, ENV_PREFIX
from plugins.schedules import INGEST_SCHEDULE_VARIABLE, LANDING_POLL_VARIABLE, NEVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.layout import Layout

__all__ = ["START_DEFAULTS", "airflow_environment", "base_environment"]

#: What starts DAGs here unless the environment says otherwise: listing a folder costs nothing, and nobody wants a
#: failure at midnight because no images came.
START_DEFAULTS = {LANDING_POLL_VARIABLE: "5", INGEST_SCHEDULE_VARIABLE: NEVER}

#: Enough for the steps that do not need the pool `gpu`; each task process takes up to a gigabyte with TensorFlow.
PARALLELISM = 4

#: One line a request, and some every time that the DAG folder is looked at; the tasks' own logs keep their level.
TALKATIVE = ("http.access", "airflow.dag_processing.manager", "airflow.dag_processing.bundles")


def base_environment(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    """What a component inherits.

    Overrides are left out: the settings file holds them already, with absolute paths. Requests between components
    never go through a proxy.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith(ENV_PREFIX)}
    bypass = ",".join(filter(None, [environ.get("NO_PROXY") or environ.get("no_proxy"), HOST, "localhost"]))
    return kept | {
        ENV_FILE: str(layout.settings_file),
        "NO_PROXY": bypass,
        "no_proxy": bypass,
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def airflow_environment(layout: Layout, jwt_secret: str) -> dict[str, str]:
    """Airflow's settings, as variables.

    New DAGs start paused: unpausing one with a timetable starts a run at once, which must be somebody's decision.
    """
    sections = {
        "core": _core(layout),
        "database": {"sql_alchemy_conn": f"sqlite:///{layout.database}"},
        "api": {"host": HOST, "port": str(layout.ports.airflow), "base_url": layout.airflow_url, "workers": "1"},
        "api_auth": {"jwt_secret": jwt_secret},
        "dag_processor": {"refresh_interval": "5", "print_stats_interval": "0"},
        "logging": {
            "base_log_folder": str(layout.task_logs),
            "colored_console_log": "False",
            "uvicorn_logging_level": "WARNING",
            "namespace_levels": ",".join(f"{name}=WARNING" for name in TALKATIVE),
        },
    }
    variables = {
        f"AIRFLOW__{section}__{key}".upper(): value
        for section, options in sections.items()
        for key, value in options.items()
    }
    return {"AIRFLOW_HOME": str(layout.airflow_home), **variables}


def _core(layout: Layout) -> dict[str, str]:
    return {
        "dags_folder": str(layout.dags),
        "plugins_folder": str(layout.plugins),
        "load_examples": "False",
        "dags_are_paused_at_creation": "True",
        "executor": "LocalExecutor",
        "parallelism": str(PARALLELISM),
        "execution_api_server_url": f"{layout.airflow_url}/execution/",
        "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "simple_auth_manager_users": f"{ADMIN}:admin,{VIEWER}:viewer",
        "simple_auth_manager_passwords_file": str(layout.passwords_file),
    }
