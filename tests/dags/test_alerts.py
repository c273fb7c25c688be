"""Runs that fail or warn tell so on every channel, once."""

import asyncio
import logging
from datetime import timedelta

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.comms import GetTaskStates, GetXCom
from airflow.sdk.execution_time.request_handlers import handle_get_task_states, handle_get_xcom
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, set_supervisor_comms
from airflow.triggers.callback import CallbackTrigger

from ml.errors import ConfigError
from ml.phantom import draw_phantoms
from ml.upload import upload_folder
from plugins.alerts import DeadlineNotifier, FailureNotifier, record_failure, warn_of_quality
from plugins.deadlines import ingest_deadline

# Airflow's own modules warn when tasks import them here.
pytestmark = pytest.mark.filterwarnings("ignore")

BASE_URL = "https://airflow.example"
SECRET = "T000-very-secret"
DEADLINE_CONTEXT = {
    "dag_run": {
        "dag_id": "ingest_images",
        "dag_run_id": "manual__1",
        "state": "running",
        "queued_at": "2026-01-01T00:00:00Z",
    },
    "deadline": {"id": "1", "deadline_time": "2026-01-01T02:00:00Z"},
}


@pytest.fixture
def channels(http_sink, mail_sink):
    """All three, at servers that work."""
    people = {"sender": "quartet@example.org", "recipients": ["a@example.org"]}
    return {
        "base_url": BASE_URL,
        "timeout_seconds": 5,
        "slack": {"webhook_url": f"{http_sink.url}/slack/{SECRET}"},
        "smtp": {"host": "127.0.0.1", "port": mail_sink.port, "security": "none"} | people,
        "webhook": {"url": f"{http_sink.url}/hook"},
    }


class ExecutionApi:
    """What the DAG processor gives a DAG's callback and `dag.test()` does not: a way to ask Airflow."""

    def __init__(self):
        self._client = InProcessTestSupervisor._api_client()
        self._handlers = {GetTaskStates: handle_get_task_states, GetXCom: handle_get_xcom}

    def send(self, message):
        return self._handlers[type(message)](self._client, message)[0]


@pytest.fixture
def run_ingest(load_dag, tmp_path):
    """Ingest drawn images with these settings; returns the run and the state of each task."""

    def run(context):
        draw_phantoms(tmp_path / "images", 10)
        upload_folder(context.store, tmp_path / "images")
        dag = load_dag("ingest_images")
        for task in dag.tasks:
            task.retries = 0
        dag.deadline = None  # apache/airflow#73428: dag.test() cannot write it down
        notify = dag.on_failure_callback

        def tell(context):
            # Airflow's DAG processor has the DAG itself; `dag.test()` gives the serialised one, which has no Jinja.
            with set_supervisor_comms(ExecutionApi()):
                notify({**context, "dag": dag})

        dag.on_failure_callback = tell
        dag_run = dag.test()
        return dag_run, {instance.task_id: str(instance.state) for instance in dag_run.get_task_instances()}

    return run


def received(http_sink, mail_sink):
    """What came to Slack, by mail and to the webhook."""
    return http_sink.received_at(f"/slack/{SECRET}"), mail_sink.mails, http_sink.received_at("/hook")


@pytest.mark.slow
def test_a_failed_validation_is_told_once_on_each_channel(set_up, channels, run_ingest, http_sink, mail_sink):
    context = set_up(alerts=channels, validation={"min_images_per_class": 50})

    dag_run, states = run_ingest(context)

    (slack,), (mail,), (alert,) = received(http_sink, mail_sink)
    assert str(dag_run.state) == states["validate"] == "failed"
    assert (alert["severity"], alert["title"]) == ("critical", "ingest_images: validate failed")
    facts = {fact["name"]: fact["value"] for fact in alert["facts"]}
    assert "glioma has " in facts["Images of each class: at least 50"]
    assert (facts["DAG"], facts["run"], facts["task"]) == ("ingest_images", dag_run.run_id, "validate")
    report, log = alert["links"]
    assert report["address"] == context.store.uri(f"snapshots/{facts['snapshot']}/report/index.html")
    assert log["address"].startswith(f"{BASE_URL}/dags/ingest_images/runs/manual__")
    assert log["address"].partition("/tasks/")[2].startswith("validate?try_number=")
    assert alert["message"].startswith(f"Snapshot {facts['snapshot']} does not meet")
    assert alert["remedy"].startswith(f"See {report['address']}; add or mend images")
    assert "validate failed" in slack["text"]
    assert mail["Subject"] == "[Quartet] critical: ingest_images: validate failed"
    assert report["address"] in mail.get_body(("plain",)).get_content()


@pytest.mark.slow
def test_doubtful_data_are_told_once_and_the_run_goes_on(set_up, channels, run_ingest, http_sink, mail_sink):
    context = set_up(alerts=channels, validation={"min_images_per_class": 3, "max_quarantined_share": 0})

    dag_run, states = run_ingest(context)

    (slack,), (mail,), (alert,) = received(http_sink, mail_sink)
    assert str(dag_run.state) == states["publish_snapshot"] == "success"
    assert (alert["severity"], alert["title"]) == ("warning", "ingest_images: 2 data quality warnings")
    assert [fact["name"] for fact in alert["facts"][:2]] == [
        "Quarantined, of what arrived now: at most 0 %",
        "Quarantined, of everything seen: at most 0 %",
    ]
    assert "%, 8 of " in alert["facts"][0]["value"]
    assert [link["name"] for link in alert["links"]] == ["report", "task log"]
    assert "2 data quality warnings" in slack["text"]
    assert mail["Subject"] == "[Quartet] warning: ingest_images: 2 data quality warnings"


@pytest.mark.slow
def test_channels_that_are_down_change_nothing_and_the_log_says_so(
    set_up, channels, run_ingest, http_sink, mail_sink, closed_port, caplog
):
    nowhere = f"http://127.0.0.1:{closed_port}/{SECRET}"
    down = {"slack": {"webhook_url": nowhere}, "smtp": channels["smtp"] | {"port": closed_port}}
    context = set_up(alerts=channels | down, validation={"min_images_per_class": 50})

    with caplog.at_level(logging.ERROR):
        dag_run, states = run_ingest(context)

    assert str(dag_run.state) == states["validate"] == "failed"
    _, mails, (alert,) = received(http_sink, mail_sink)
    assert mails == []
    assert "does not meet" in alert["message"]
    told = [record.getMessage() for record in caplog.records if "could not be sent" in record.getMessage()]
    assert told == [
        f"alert 'ingest_images: validate failed' could not be sent to {channel}: "
        "ConnectionRefusedError: Connection refused"
        for channel in ("slack", "smtp")
    ]
    assert SECRET not in caplog.text


class FailedTask:
    """What a callback sees of a task, and of its run: the states of all tasks, and what was left of failures."""

    dag_id, run_id, task_id, try_number = "retrain", "manual__1", "train", 1

    def __init__(self, map_index=-1, states=(), failure=None):
        self.map_index, self._states, self._failure = map_index, dict(states), failure

    def get_task_states(self, dag_id, run_ids):
        return {self.run_id: self._states}

    def xcom_pull(self, task_ids, map_indexes, key):
        return self._failure


class Unreachable(FailedTask):
    def get_task_states(self, dag_id, run_ids):
        raise RuntimeError("Airflow does not answer")

    def xcom_pull(self, task_ids, map_indexes, key):
        raise RuntimeError("Airflow does not answer")


@pytest.fixture
def tell(set_up, channels, http_sink):
    """Let a run fail; returns the title, the message and the facts of the one alert."""
    set_up(alerts=channels)

    def told(reason, **context):
        FailureNotifier()({"dag": DAG("retrain", schedule=None), "run_id": "manual__1", "reason": reason, **context})
        (alert,) = http_sink.received_at("/hook")
        return alert["title"], alert["message"], {fact["name"]: fact["value"] for fact in alert["facts"]}

    return told


def test_a_task_that_was_killed_is_told(tell):
    title, message, facts = tell("task_failure", ti=FailedTask())

    assert title == "retrain: train failed"
    assert "it was probably killed" in message
    assert facts["task"] == "train"


def test_of_several_tasks_that_fail_the_last_tells_and_the_others_are_named(tell):
    states = {"train_0": "failed", "train_1": "failed", "evaluate": "upstream_failed"}
    failure = {"message": "MemoryError", "remedy": "", "facts": {}, "links": {}}
    title, message, facts = tell("task_failure", ti=FailedTask(1, states, failure))

    assert (title, message) == ("retrain: train failed", "MemoryError")
    assert (facts["task"], facts["failed too"]) == ("train [1]", "train_0")


def test_a_failure_is_told_without_details_when_they_cannot_be_read(tell, caplog):
    title, _, facts = tell("task_failure", ti=Unreachable())

    assert title == "retrain: train failed"
    assert "failed too" not in facts
    assert "what train left of its failure cannot be read" in caplog.text


@pytest.mark.parametrize("context", [{"ti": FailedTask()}, {}], ids=["with a task", "without"])
def test_a_run_that_was_stopped_for_its_time_is_told(tell, context):
    title, message, facts = tell("timed_out", **context)

    assert title == "retrain: ran out of time"
    assert "longer than its limit" in message
    assert facts["run"] == "manual__1"


def test_settings_that_are_wrong_are_logged_and_hide_nothing(tmp_path, monkeypatch, caplog):
    (tmp_path / "quartet.yaml").write_text("colour: red\n")
    monkeypatch.setenv("QUARTET_CONFIG", str(tmp_path / "quartet.yaml"))

    FailureNotifier()({"ti": FailedTask(), "reason": "task_failure"})

    assert "no alert could be sent: Settings refused: unknown setting 'colour'" in caplog.text


def test_data_without_warnings_are_not_told(set_up, channels, http_sink):
    context = set_up(alerts=channels)

    warn_of_quality(context.settings, {"warnings": [], "observed": [], "snapshot_id": "s", "report": "r"})

    assert http_sink.received == []


@pytest.mark.parametrize(
    ("environ", "deadline"),
    [
        ({}, timedelta(hours=2)),
        ({"QUARTET_INGEST_DEADLINE_MINUTES": ""}, timedelta(hours=2)),
        ({"QUARTET_INGEST_DEADLINE_MINUTES": "0.5"}, timedelta(seconds=30)),
    ],
    ids=["default", "empty", "half a minute"],
)
def test_a_deadline_is_minutes_after_the_run_was_queued(environ, deadline):
    alert = ingest_deadline(environ)

    assert alert.interval == deadline
    assert alert.reference.reference_name == "DagRunQueuedAtDeadline"


def test_zero_minutes_are_no_deadline():
    assert ingest_deadline({"QUARTET_INGEST_DEADLINE_MINUTES": "0"}) is None


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e9"])
def test_a_deadline_that_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match=f"QUARTET_INGEST_DEADLINE_MINUTES = '{text}'"):
        ingest_deadline({"QUARTET_INGEST_DEADLINE_MINUTES": text})


def test_ingest_has_the_deadline_and_retrain_has_none(load_dag, monkeypatch):
    monkeypatch.setenv("QUARTET_INGEST_DEADLINE_MINUTES", "45")

    (deadline,) = load_dag("ingest_images").deadline
    assert deadline.interval == timedelta(minutes=45)
    assert not load_dag("retrain").deadline


@pytest.mark.parametrize("dag_id", ["ingest_images", "retrain"])
def test_a_failed_run_tells_and_its_tasks_leave_their_errors(load_dag, dag_id):
    dag = load_dag(dag_id)

    assert isinstance(dag.on_failure_callback, FailureNotifier)
    for task in dag.tasks:
        assert task.on_failure_callback in (record_failure, [record_failure])  # a mapped task keeps it as it was given
        assert not task.on_retry_callback


def test_a_missed_deadline_is_told_by_what_the_triggerer_runs(set_up, channels, http_sink, mail_sink):
    set_up(alerts=channels)
    path = ingest_deadline({}).callback.path
    trigger = CallbackTrigger(path, {"context": DEADLINE_CONTEXT})

    async def run():
        return [event.payload["state"] async for event in trigger.run()]

    assert asyncio.run(run()) == ["running", "success"]
    (slack,), (mail,), (alert,) = received(http_sink, mail_sink)
    assert (alert["severity"], alert["title"]) == ("warning", "ingest_images takes too long")
    assert alert["facts"][0] == {"name": "state", "value": "running"}
    assert alert["links"] == [{"name": "run", "address": f"{BASE_URL}/dags/ingest_images/runs/manual__1"}]
    assert "takes too long" in slack["text"]
    assert mail["Subject"] == "[Quartet] warning: ingest_images takes too long"


def test_a_missed_deadline_with_wrong_settings_is_logged(tmp_path, monkeypatch, caplog):
    (tmp_path / "quartet.yaml").write_text("colour: red\n")
    monkeypatch.setenv("QUARTET_CONFIG", str(tmp_path / "quartet.yaml"))

    DeadlineNotifier().notify(DEADLINE_CONTEXT)

    assert "no alert could be sent" in caplog.text
