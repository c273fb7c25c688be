from __future__ import annotations

import stat

import pytest

from infra.local.layout import Layout, Ports, read_airflow_port
from ml.errors import ConfigError


def test_two_services_on_one_port_are_refused():
    with pytest.raises(ConfigError, match="three different ports"):
        Ports(airflow=8500)


@pytest.mark.parametrize(
    ("environ", "port"),
    [({}, 8080), ({"QUARTET_AIRFLOW_PORT": ""}, 8080), ({"QUARTET_AIRFLOW_PORT": "9090"}, 9090)],
    ids=["unset", "empty", "set"],
)
def test_the_airflow_port_comes_from_its_variable(environ, port):
    assert read_airflow_port(environ) == port


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "80.5", "²"])
def test_what_is_no_port_is_refused_by_the_variables_name(text):
    with pytest.raises(ConfigError, match="QUARTET_AIRFLOW_PORT"):
        read_airflow_port({"QUARTET_AIRFLOW_PORT": text})


def test_only_the_owner_can_enter_airflows_home(tmp_path):
    layout = Layout(tmp_path)
    layout.make_folders()
    layout.make_folders()
    assert stat.S_IMODE(layout.airflow_home.stat().st_mode) == 0o700


def test_everything_written_is_below_var(tmp_path):
    layout = Layout(tmp_path)
    written = [
        layout.airflow_home, layout.database, layout.passwords_file, layout.jwt_secret_file, layout.run, layout.log,
        layout.store, layout.models, layout.mlflow, layout.settings_file, layout.pid_file("a"), layout.log_file("a"),
    ]  # fmt: skip
    assert all(path.is_relative_to(tmp_path / "var") for path in written)
