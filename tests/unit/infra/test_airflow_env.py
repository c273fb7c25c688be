from __future__ import annotations

import pytest

from infra.local.airflow_env import airflow_environment, base_environment
from infra.local.components import AIRFLOW_HEALTH, COMPONENT_NAMES, build_components


@pytest.fixture
def environment(layout):
    return airflow_environment(layout, "secret")


def test_everything_airflow_listens_on_or_calls_is_the_loopback_address(layout, environment):
    url = f"http://127.0.0.1:{layout.ports.airflow}"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__API__PORT"] == str(layout.ports.airflow)
    assert environment["AIRFLOW__API__BASE_URL"] == url
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"{url}/execution/"


def test_airflow_keeps_its_files_below_var(layout, environment):
    assert environment["AIRFLOW_HOME"] == str(layout.airflow_home)
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{layout.database}"
    assert environment["AIRFLOW__CORE__DAGS_FOLDER"] == str(layout.dags)
    assert environment["AIRFLOW__CORE__PLUGINS_FOLDER"] == str(layout.plugins)


def test_nothing_runs_that_nobody_asked_for(environment):
    assert environment["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "True"
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"


def test_there_is_an_administrator_and_a_viewer(environment):
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "admin:admin,viewer:viewer"


def test_overrides_reach_components_through_the_settings_file_only(layout):
    inherited = base_environment(layout, {"QUARTET__STORE__URL": "relative", "QUARTET_CONFIG": "mine", "HOME": "/home"})
    assert inherited["QUARTET_CONFIG"] == str(layout.settings_file)
    assert inherited["HOME"] == "/home"
    assert "QUARTET__STORE__URL" not in inherited


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_requests_between_components_bypass_a_proxy(layout, name):
    inherited = base_environment(layout, {"HTTP_PROXY": "http://proxy", name: "example.org"})
    assert inherited["NO_PROXY"] == inherited["no_proxy"] == "example.org,127.0.0.1,localhost"


def test_the_components_share_one_secret_and_airflows_own_are_not_the_model_servers(layout):
    components = {component.name: component for component in build_components(layout, "secret", {})}
    assert tuple(components) == COMPONENT_NAMES
    secrets = {name: part.environment.get("AIRFLOW__API_AUTH__JWT_SECRET") for name, part in components.items()}
    assert secrets == {"model-server": None} | dict.fromkeys(AIRFLOW_HEALTH, "secret")


@pytest.mark.parametrize(
    ("environ", "poll", "clock"),
    [({}, "5", "never"), ({"QUARTET_LANDING_POLL_SECONDS": "9", "QUARTET_INGEST_SCHEDULE": "@daily"}, "9", "@daily")],
)
def test_here_the_landing_zone_is_watched_closely_and_no_ingest_starts_by_the_clock(layout, environ, poll, clock):
    for component in build_components(layout, "secret", environ)[1:]:
        assert component.environment["QUARTET_LANDING_POLL_SECONDS"] == poll
        assert component.environment["QUARTET_INGEST_SCHEDULE"] == clock


def test_each_port_is_wanted_by_the_component_that_listens_there(layout):
    components = build_components(layout, "secret", {})
    wanted = {port.number: (part.name, port.variable) for part in components for port in part.ports}
    assert wanted == {
        layout.ports.airflow: ("api-server", "QUARTET_AIRFLOW_PORT"),
        layout.ports.grpc: ("model-server", "QUARTET__SERVING__GRPC_PORT"),
        layout.ports.rest: ("model-server", "QUARTET__SERVING__REST_PORT"),
    }


def test_a_component_does_not_print_its_secret(layout):
    assert "hidden" not in repr(build_components(layout, "hidden", {}))
