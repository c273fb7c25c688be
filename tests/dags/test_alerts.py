"""Runs that fail or warn tell so on every channel, once."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.comms import GetTaskStates, GetXCom
from airflow.sdk.execution_time.context import set_current_context
from airflow.sdk.execution_time.request_handlers import handle_get_task_states, handle_get_xcom
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, set_supervisor_comms
from airflow.triggers.callback import CallbackTrigger

from ml.errors import ConfigError
from ml.phantom import draw_phantoms
from ml.upload import upload_folder
from plugins import alerts
from plugins.alerts import DeadlineNotifier, FailureNotifier, record_failure, warn_of_quality
from plugins.deadlines import DEADLINES, run_deadline
from promoted import record_promotion

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
    assert (alert["severity"], alert["title"]) == ("critical", "ingest_images: 1 critical data quality failure")
    facts = {fact["name"]: fact["value"] for fact in alert["facts"]}
    assert "glioma has " in facts["Images of each class: at least 50"]
    assert (facts["DAG"], facts["run"], facts["task"]) == ("ingest_images", dag_run.run_id, "validate")
    page, report, log, run = (link["address"] for link in alert["links"])
    assert page == f"{BASE_URL}/quartet/snapshots/{facts['snapshot']}/report/index.html"
    assert report == context.store.uri(f"snapshots/{facts['snapshot']}/report/index.html")
    assert log.startswith(f"{BASE_URL}/dags/ingest_images/runs/manual__")
    assert log.partition("/tasks/")[2].startswith("validate?try_number=")
    assert log.startswith(f"{run}/")
    assert alert["message"].startswith(f"Snapshot {facts['snapshot']} does not meet 1 critical expectation")
    assert "1 critical data quality failure" in slack["text"]
    assert mail["Subject"] == "[Quartet] critical: ingest_images: 1 critical data quality failure"
    assert page in mail.get_body(("plain",)).get_content()


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
    names = [link["name"] for link in alert["links"]]
    assert names == ["page of the snapshot", "report in the store", "task log", "run in Airflow"]
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
        f"alert 'ingest_images: 1 critical data quality failure' could not be sent to {channel}: "
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


class Running(FailedTask):
    """A task that tells something while it runs."""

    def __init__(self, dag_id, task_id):
        super().__init__()
        self.dag_id, self.task_id = dag_id, task_id


RULE = {"name": "macro F1", "passed": False, "measured": "0.7", "required": "at least 0.8", "missing": "0.1 short"}
CHECK = {"name": "errors", "passed": False, "measured": "3 of 40", "required": "none"}
FINDING = {"topic": "Traffic", "name": "errors", "measured": "2 %", "required": "at most 1 %", "critical": False}
SNAPSHOT_PAGE = "/quartet/snapshots/s1/report/index.html"
RUN_PAGE = "/quartet/runs/run-1/report.html"
MODELS_PAGE = "/plugin/models"
#: By the function that a task calls: its DAG and task, what it is given, and what people get.
EVENTS = {
    "warn_of_quality": ("ingest_images", "validate",
        lambda context: (context.settings, {"warnings": ["share at most 0.9"], "observed": ["1 of 4 outside"],
                                            "snapshot_id": "s1", "report": "/r.html"}),
        "warning", "ingest_images: 1 data quality warning", ("share at most 0.9", "1 of 4 outside"), SNAPSHOT_PAGE),
    "warn_of_rejection": ("retrain", "gate",
        lambda context: (context, {"promoted": False, "run_id": "run-1", "variant": "vgg16", "reason": "Rejected.",
                                   "rules": [RULE]}),
        "warning", "retrain: vgg16 is not promoted", ("macro F1", "0.7, required at least 0.8 (0.1 short)"), RUN_PAGE),
    "tell_of_approval": ("retrain", "approve",
        lambda context: (context, {"run_id": "run-1", "variant": "vgg16", "rules": [RULE]}, datetime.now(UTC)),
        "info", "retrain: vgg16 waits for approval", ("macro F1", "0.7, required at least 0.8 (0.1 short)"),
        "/dags/retrain/runs/manual__1/tasks/approve/required_actions"),
    "warn_of_silence": ("retrain", "approve", lambda context: (context, "run-1", "Rejected: nobody."),
        "warning", "retrain: nobody approved", ("task", "approve"), RUN_PAGE),
    "tell_of_promotion": ("retrain", "promote", lambda context: (context, {"run_id": "run-1", "number": 1}),
        "info", "retrain: version 1 is the champion", ("champion before", "none: it is the first"), MODELS_PAGE),
    "warn_of_canary": ("retrain", "canary",
        lambda context: (context.settings, {"passed": False, "run_id": "run-1", "version": 2, "reason": "Errors.",
                                            "checks": [CHECK]}),
        "critical", "retrain: version 2 did not stand its trial", ("errors", "3 of 40, required none"), MODELS_PAGE),
    "warn_of_watch": ("retrain", "watch",
        lambda context: (context.settings, {"kept": False, "run_id": "run-1", "version": 2, "reason": "Errors.",
                                            "rolled_back_to": 1, "checks": [CHECK]}),
        "critical", "retrain: version 2 does badly", ("errors", "3 of 40, required none"), MODELS_PAGE),
    "tell_of_rollback": ("rollback", "roll_back",
        lambda context: (context.settings, {"action": "rollback", "version": 1, "from": 2, "by": "Alice",
                                            "reason": "worse"}),
        "warning", "rollback: back to version 1", ("decided by", "Alice"), MODELS_PAGE),
    "warn_of_findings": ("monitor", "report",
        lambda context: (context.settings, {"alert": True, "model_name": "classifier", "beyond": [FINDING],
                                            "retraining": "", "monitor_id": "m1", "page": "/p.html"}),
        "warning", "monitor: classifier is beyond its limits: errors",
        ("Traffic, errors", "2 %, required at most 1 %"), "/quartet/monitoring/m1/report.html"),
}  # fmt: skip


def test_there_is_a_case_of_everything_that_a_task_tells():
    assert set(EVENTS) == {name for name in alerts.__all__ if name.startswith(("tell_", "warn_"))}


@pytest.fixture
def happen(set_up, channels, http_sink, mail_sink):
    """Let a task tell of an event; what came to Slack, by mail and to the webhook."""
    context = set_up(alerts=channels)
    record_promotion(context.store, "classifier", "run-1", "vgg16")

    def tell(name, times=1):
        dag_id, task_id, given, *_ = EVENTS[name]
        with set_current_context({"ti": Running(dag_id, task_id)}):
            for _ in range(times):
                getattr(alerts, name)(*given(context))
        return received(http_sink, mail_sink)

    return tell


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_told_on_each_channel_with_its_facts_and_its_page(happen, name):
    _, task_id, _, severity, title, fact, page = EVENTS[name]

    (slack,), (mail,), (alert,) = happen(name)

    assert (alert["severity"], alert["title"]) == (severity, title)
    facts = {one["name"]: one["value"] for one in alert["facts"]}
    assert facts[fact[0]] == fact[1]
    assert (facts["run"], facts["task"]) == ("manual__1", task_id)
    assert alert["links"][0]["address"] == f"{BASE_URL}{page}"
    assert title in slack["text"]
    assert mail["Subject"] == f"[Quartet] {severity}: {title}"
    assert f'href="{BASE_URL}{page}"' in mail.get_body(("html",)).get_content()


@pytest.mark.parametrize("name", EVENTS)
def test_the_same_again_is_folded_unless_it_changes_what_serves_or_asks_somebody(happen, name):
    always = {"tell_of_promotion", "tell_of_rollback", "warn_of_watch", "tell_of_approval"}

    _, _, told = happen(name, times=3)

    assert len(told) == (3 if name in always else 1)


def test_what_is_well_is_not_told(set_up, channels, http_sink):
    context = set_up(alerts=channels)

    alerts.warn_of_rejection(context, {"promoted": True})
    alerts.warn_of_canary(context.settings, {"passed": True})
    alerts.warn_of_watch(context.settings, {"kept": True})
    alerts.warn_of_findings(context.settings, {"alert": False})

    assert http_sink.received == []


def test_a_promotion_whose_place_was_taken_since_is_not_told(set_up, channels, http_sink):
    context = set_up(alerts=channels)
    record_promotion(context.store, "classifier", "run-1", "vgg16")
    record_promotion(context.store, "classifier", "run-2", "vgg16", version=2)

    alerts.tell_of_promotion(context, {"run_id": "run-1", "number": 1})

    assert http_sink.received == []


def test_a_promotion_that_cannot_be_described_stays_one_and_the_log_says_so(set_up, channels, http_sink, caplog):
    context = set_up(alerts=channels)
    context.store.put("promotions/classifier/00000001.json", b"{}")

    alerts.tell_of_promotion(context, {"run_id": "run-1", "number": 1})

    assert http_sink.received == []
    assert "nobody is told of promotion 1" in caplog.text


def test_runs_that_fail_for_one_cause_are_told_once(set_up, channels, http_sink):
    set_up(alerts=channels)
    failure = {"message": "The store of run manual__1 answered 503.", "remedy": "", "facts": {}, "links": {}}
    context = {"dag": DAG("retrain", schedule=None), "reason": "task_failure"}

    for task in (FailedTask(0, failure=failure), FailedTask(1, failure=failure)):
        FailureNotifier()({**context, "ti": task, "run_id": task.run_id})
    other = FailedTask(failure=failure | {"message": "There is no store."})
    FailureNotifier()({**context, "ti": other, "run_id": other.run_id})

    assert [alert["message"] for alert in http_sink.received_at("/hook")] == [failure["message"], "There is no store."]


DAG_IDS = sorted(path.stem for path in (Path(__file__).parents[2] / "dags").glob("*.py"))


@pytest.mark.parametrize("dag_id", DEADLINES)
@pytest.mark.parametrize("text", [None, "", "0.5"], ids=["default", "empty", "half a minute"])
def test_a_deadline_is_minutes_after_the_run_was_queued(dag_id, text):
    known = DEADLINES[dag_id]
    alert = run_deadline(dag_id, {} if text is None else {known.variable: text})

    assert alert.interval == (timedelta(seconds=30) if text else timedelta(minutes=known.minutes))
    assert alert.reference.reference_name == "DagRunQueuedAtDeadline"


@pytest.mark.parametrize("dag_id", DEADLINES)
def test_zero_minutes_are_no_deadline(dag_id):
    assert run_deadline(dag_id, {DEADLINES[dag_id].variable: "0"}) is None


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e9"])
def test_a_deadline_that_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match=f"QUARTET_RETRAIN_DEADLINE_MINUTES = '{text}'"):
        run_deadline("retrain", {"QUARTET_RETRAIN_DEADLINE_MINUTES": text})


def test_the_longest_a_run_may_take_is_after_its_deadline(load_dag):
    for dag_id in DAG_IDS:
        assert timedelta(minutes=DEADLINES[dag_id].minutes) < load_dag(dag_id).dagrun_timeout


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_every_dag_tells_of_failed_and_late_runs_and_its_tasks_leave_their_errors(load_dag, monkeypatch, dag_id):
    monkeypatch.setenv(DEADLINES[dag_id].variable, "7")
    dag = load_dag(dag_id)

    assert isinstance(dag.on_failure_callback, FailureNotifier)
    (deadline,) = dag.deadline
    assert deadline.interval == timedelta(minutes=7)
    for task in dag.tasks:
        assert task.on_failure_callback in (record_failure, [record_failure])  # a mapped task keeps it as it was given
        assert not task.on_retry_callback


def late(dag_id, state="running"):
    """What the scheduler hands to the triggerer about a run."""
    return {**DEADLINE_CONTEXT, "dag_run": DEADLINE_CONTEXT["dag_run"] | {"dag_id": dag_id, "state": state}}


def call_back(dag_id, context):
    """What the triggerer runs; the states that it reports."""
    trigger = CallbackTrigger(run_deadline(dag_id, {}).callback.path, {"context": context})

    async def run():
        return [event.payload["state"] async for event in trigger.run()]

    return asyncio.run(run())


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_missed_deadline_is_told_by_what_the_triggerer_runs(set_up, channels, http_sink, mail_sink, dag_id):
    set_up(alerts=channels)

    assert call_back(dag_id, late(dag_id)) == ["running", "success"]

    (slack,), (mail,), (alert,) = received(http_sink, mail_sink)
    assert (alert["severity"], alert["title"]) == ("warning", f"{dag_id} takes too long")
    assert alert["facts"][0] == {"name": "state", "value": "running"}
    assert alert["links"] == [{"name": "run in Airflow", "address": f"{BASE_URL}/dags/{dag_id}/runs/manual__1"}]
    assert "takes too long" in slack["text"]
    assert mail["Subject"] == f"[Quartet] warning: {dag_id} takes too long"


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_ended_before_its_deadline_is_not_told_after_it(set_up, channels, http_sink, state):
    """Airflow forgets the deadline of a run that succeeded, and keeps that of one that failed."""
    set_up(alerts=channels)

    assert call_back("ingest_images", late("ingest_images", state)) == ["running", "success"]
    assert http_sink.received == []


@pytest.mark.parametrize(
    ("dag_id", "answer", "waits"),
    [
        ("retrain", None, True),
        ("retrain", {"approved": True, "at": "2026-01-01T00:00:00+00:00", "by": "Alice"}, False),
        ("ingest_images", None, False),
    ],
    ids=["asked", "answered", "another DAG's run of the same name"],
)
def test_a_late_run_that_waits_for_a_person_is_told_with_where_to_answer(
    set_up, channels, http_sink, dag_id, answer, waits
):
    context = set_up(alerts=channels)
    asked = {"run_id": "manual__1", "variant": "vgg16", "decision_sha256": "0", "asked_at": "2026", "answer": answer}
    context.store.put("runs/manual__1/approval.json", json.dumps(asked).encode())

    call_back(dag_id, late(dag_id))

    (alert,) = http_sink.received_at("/hook")
    assert ("waits for a person's approval" in alert["message"]) is waits
    assert (alert["links"][0]["name"] == "answer") is waits


def test_a_late_run_is_told_also_where_the_store_cannot_say_what_it_waits_for(
    set_up, channels, http_sink, closed_port, s3_credentials, caplog
):
    set_up(alerts=channels, store={"url": "s3://quartet", "endpoint_url": f"http://127.0.0.1:{closed_port}"})

    call_back("retrain", late("retrain"))

    assert len(http_sink.received_at("/hook")) == 1
    assert "whether manual__1 waits for approval cannot be read" in caplog.text


def test_a_missed_deadline_with_wrong_settings_is_logged(tmp_path, monkeypatch, caplog):
    (tmp_path / "quartet.yaml").write_text("colour: red\n")
    monkeypatch.setenv("QUARTET_CONFIG", str(tmp_path / "quartet.yaml"))

    DeadlineNotifier().notify(DEADLINE_CONTEXT)

    assert "no alert could be sent" in caplog.text
