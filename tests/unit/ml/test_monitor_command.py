import json
import shutil

import pytest
from typer.testing import CliRunner

from ml.cli import app
from ml.config import load_settings
from ml.storage import open_store
from monitored import make_version

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own modules warn when they are imported


@pytest.fixture
def store(tmp_path, monkeypatch, closed_port, tracking_database):
    """Of settings whose model server does not run."""
    shutil.copy(tracking_database, tmp_path / "mlflow.db")
    document = {
        "model_name": "m",
        "store": {"url": str(tmp_path / "store")},
        "tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "serving": {"grpc_port": closed_port, "rest_port": closed_port, "retries": 0, "timeout_seconds": 2},
    }
    path = tmp_path / "quartet.yaml"
    path.write_text(json.dumps(document))
    monkeypatch.setenv("QUARTET_CONFIG", str(path))
    return open_store(load_settings().store)


def test_a_look_by_hand_prints_what_it_finds_and_leaves_the_dags_last_look_alone(store):
    make_version(store, "m")

    result = CliRunner().invoke(app, ["monitor"])

    assert result.exit_code == 1
    assert "model server" in result.output
    assert "report.html" in result.output
    assert store.head("monitoring/m/state.json") is None


def test_where_nothing_is_beyond_its_limit_it_ends_well_and_remembers_if_asked(store):
    result = CliRunner().invoke(app, ["monitor", "--remember"])

    assert result.exit_code == 0
    assert store.head("monitoring/m/state.json") is not None
