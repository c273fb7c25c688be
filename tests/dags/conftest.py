"""Airflow with a database of its own, made before it is imported: it reads its settings while it is."""

import os
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from ml.config import Settings
from ml.context import Context
from ml.phantom import draw_phantoms
from ml.storage import open_store
from ml.upload import upload_folder

ROOT = Path(__file__).resolve().parents[2]
HOME = tempfile.TemporaryDirectory(prefix="quartet-airflow-")
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(ROOT / "dags")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] = "admin:admin,viewer:viewer"
os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] = f"{HOME.name}/passwords.json"
os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] = "the same on every component of Airflow, 64 bytes or more " * 2


@pytest.fixture(scope="session")
def airflow_database():
    with warnings.catch_warnings():
        # Airflow's own imports warn; what the project's DAGs cause is checked in test_graphs.
        warnings.simplefilter("ignore")
        from airflow.utils.db import initdb

        initdb()


@pytest.fixture
def load_dag(airflow_database, monkeypatch):
    """Parse a DAG file afresh, as the DAG processor does."""
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.syspath_prepend(str(ROOT))

    def load(dag_id):
        bag = DagBag(str(ROOT / "dags" / f"{dag_id}.py"))
        assert bag.import_errors == {}
        return bag.dags[dag_id]

    return load


@pytest.fixture
def last_event(airflow_database):
    """What the newest event of an asset, by its name, says."""

    def read(name):
        from airflow.models.asset import AssetEvent, AssetModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            events = select(AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            return session.scalars(events.where(AssetModel.name == name).order_by(AssetEvent.id.desc())).first()

    return read


@pytest.fixture
def set_up(tmp_path, monkeypatch):
    """Write settings of a store in tmp_path and small images; returns the context that the tasks will see."""

    def write(**sections):
        document = {
            "store": {"url": str(tmp_path / "store"), "cache_dir": str(tmp_path / "cache")},
            "images": {"size": 64},
        } | sections
        path = tmp_path / "quartet.yaml"
        path.write_text(yaml.safe_dump(document))
        monkeypatch.setenv("QUARTET_CONFIG", str(path))
        return Context.from_environment()

    return write


@pytest.fixture(scope="session")
def cleared(tmp_path_factory):
    """Settings of a store with a run that the gate has cleared: to be copied by whoever changes more than approvals."""
    from ml.steps import evaluate, examine, extract, gate, ingest, list_missing, publish_snapshot, split, train

    folder = tmp_path_factory.mktemp("cleared")
    document = {
        "store": {"url": str(folder / "store"), "cache_dir": str(folder / "cache")},
        "images": {"size": 64},
        "variants": {"narrow": {"backbone": "mobilenet", "alpha": 0.25}},
        "weights": "random",
        "train": {"epochs": 1, "units": 8, "heads": 2, "key_dim": 4},
        "gate": {"min_macro_f1": 0.0},
        "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
        "artifact_uri": str(folder / "artifacts"),
    }
    settings = Settings.model_validate(document)
    context = Context(settings, open_store(settings.store))
    draw_phantoms(folder / "images", 10)
    upload_folder(context.store, folder / "images")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        publish_snapshot.run(context, str(ingest.run(context, datetime.now(UTC))["snapshot_id"]))
        split.run(context, "run")
        for part in list_missing.run(context, "run"):
            extract.run(context, "run", part)
        train.run(context, "run", "narrow")
        evaluate.run(context, "run")
        examine.run(context, "run")
        gate.run(context, "run")
    return document
