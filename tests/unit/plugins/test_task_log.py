import logging
import re
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException, TaskDeferred

from ml.context import Context
from ml.errors import ConfigError, DataError
from plugins.links import MODELS_PAGE, RUN_PAGE
from plugins.made import run_file
from plugins.starting import start_dag
from plugins.step_context import open_context
from plugins.task_log import tell, without_credentials


@pytest.fixture(autouse=True)
def settings_file(tmp_path, monkeypatch):
    path = tmp_path / "quartet.yaml"
    path.write_text(f"store: {{url: {tmp_path / 'store'}}}\nalerts: {{webhook: {{url: 'https://x/SECRET'}}}}\n")
    monkeypatch.setenv("QUARTET_CONFIG", str(path))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example")
    return path


@pytest.fixture
def said(caplog):
    """The lines that tasks have logged, with their level."""
    caplog.set_level(logging.INFO, "quartet.task")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "quartet.task"]


def start(dag_id, run_id):
    try:
        start_dag(dag_id, run_id, reason="Brightness has drifted.")
    except DagRunTriggerException as started:
        return started


def airflow(map_index=-1, label=None, **params):
    task = SimpleNamespace(
        dag_id="retrain",
        task_id="train",
        run_id="manual__1",
        map_index=map_index,
        rendered_map_index=label,
        try_number=2,
        max_tries=2,
    )
    return {"ti": task, "run_id": task.run_id, "params": params}


def test_a_log_says_what_was_asked_with_what_and_what_was_made_where(said, settings_file, tmp_path):
    asked = {"retrain_id": "manual__1", "variant": "narrow"}

    with tell(airflow(3, "narrow", trials=9, reason=None), asked, [RUN_PAGE], run_file("{variant}/")) as telling:
        with open_context() as context:
            assert isinstance(context, Context)
        telling.result = {"epochs": 3}

    assert said() == [
        (
            "asked: retrain, train [narrow], of run manual__1, try 2 of 3, "
            'with {"retrain_id": "manual__1", "variant": "narrow"}, params {"trials": 9}'
        ),
        f"with: settings {settings_file}, store {tmp_path / 'store'}",
        (
            f'made: {{"epochs": 3}}, in {tmp_path / "store"}/runs/manual__1/narrow; '
            "Run's page: http://airflow.example/quartet/runs/manual__1/report.html"
        ),
    ]


@pytest.mark.parametrize(("written", "named"), [(True, True), (False, False)])
def test_an_object_is_named_only_where_it_was_written(said, written, named):
    with tell(airflow(), {"retrain_id": "r"}, makes=run_file("canary.json")), open_context() as context:
        if written:
            context.store.put("runs/r/canary.json", b"{}")

    assert said()[-1].endswith("store/runs/r/canary.json") is named


def test_a_failure_is_one_line_with_the_remedy_and_pages_to_look_at(said, caplog):
    error = DataError("Two lines,\nand no images.", "Upload some.", links={"Listing": "s3://b/listing"})

    with pytest.raises(DataError), tell(airflow(), {"retrain_id": "manual__1"}, [RUN_PAGE]):
        raise error

    assert caplog.records[-1].levelno == logging.ERROR
    assert said()[-1] == (
        "failed: DataError: Two lines, and no images. Remedy: Upload some.; Listing: s3://b/listing; "
        "Run's page: http://airflow.example/quartet/runs/manual__1/report.html"
    )


def test_a_failure_in_a_step_is_said_with_its_file_and_line(said):
    with pytest.raises(ConfigError), tell(airflow(), {}), open_context() as context:
        context.settings.variant("none")

    assert re.search(
        r"failed: ConfigError: There is no variant 'none'\. Remedy: Known: .*; at ml/config/\w+\.py:\d+$", said()[-1]
    )


def test_wrong_settings_fail_with_the_key_and_the_remedy(said, settings_file):
    settings_file.write_text("model: tiny\n")

    with pytest.raises(ConfigError), tell(airflow(), {}), open_context():
        pass

    assert said()[-1].startswith("failed: ConfigError: Settings refused: unknown setting 'model'. Remedy: ")


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (AirflowSkipException("The run asks for no trials."), "skipped: The run asks for no trials."),
        (start("retrain", "drift_of_version_1"), "made: run drift_of_version_1 of retrain"),
        (TaskDeferred(trigger=None, method_name="execute_complete"), "waits, without a worker"),
    ],
    ids=["skipped", "starts another run", "waits"],
)
def test_what_is_no_failure_is_not_told_as_one(said, caplog, end, line):
    with pytest.raises(type(end)), tell(airflow(), {}, [MODELS_PAGE]):
        raise end

    assert said()[-1] == f"{line}; Models: http://airflow.example/plugin/models"
    assert all(record.levelno == logging.INFO for record in caplog.records)


def test_where_to_look_fails_no_task(said, caplog):
    with tell(airflow(), {}, [RUN_PAGE]) as telling:
        telling.result = 1

    assert said()[-1] == "made: 1"
    assert "where to look cannot be found out" in said()
    assert "KeyError: 'retrain_id'" in caplog.text


def test_long_values_are_cut(said):
    with tell(airflow(), {"text": "x" * 5000}):
        pass

    assert all(len(line) < 1000 for line in said())
    assert "characters)" in said()[0]


def test_no_line_has_a_secret_of_the_settings(said, settings_file):
    with pytest.raises(RuntimeError), tell(airflow(), {}), open_context():
        raise RuntimeError("?")

    assert not any("SECRET" in line for line in said())


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:pass@mlflow.example:5000/x", "https://mlflow.example:5000/x"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("/var/a@b/store", "/var/a@b/store"),
    ],
)
def test_addresses_are_shown_without_credentials(address, shown):
    assert without_credentials(address) == shown
