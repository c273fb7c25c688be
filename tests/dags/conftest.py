"""Airflow with a database of its own, made before it is imported: it reads its settings while it is."""

import os
import tempfile
import warnings
from pathlib import Path

import pytest
import yaml

from ml.context import Context

ROOT = Path(__file__).resolve().parents[2]
HOME = tempfile.TemporaryDirectory(prefix="quartet-airflow-")
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(ROOT / "dags")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


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
