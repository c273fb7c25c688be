"""The monitor's steps in a row, over a real store and a server's real metrics page."""

import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from browser import open_offline
from ml.config import Settings
from ml.context import Context
from ml.monitor_state import load_state
from ml.steps import check_serving, measure_drift, measure_traffic, report_monitoring
from ml.storage import open_store, read_json
from monitored import NOON, log_requests, make_rows, make_version

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own modules warn when they are imported

PAGE = """\
# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{{model_name="tiny",status="OK"}} {ok}
:tensorflow:serving:request_count{{model_name="tiny",status="INTERNAL"}} {internal}
# TYPE :tensorflow:serving:request_latency histogram
:tensorflow:serving:request_latency_bucket{{model_name="tiny",API="predict",entrypoint="REST",le="18000"}} {ok}
:tensorflow:serving:request_latency_bucket{{model_name="tiny",API="predict",entrypoint="REST",le="+Inf"}} {ok}
:tensorflow:serving:request_latency_sum{{model_name="tiny",API="predict",entrypoint="REST"}} 1
:tensorflow:serving:request_latency_count{{model_name="tiny",API="predict",entrypoint="REST"}} {ok}
"""


class MetricsPage:
    """Shows counters as a model server does, and nothing else."""

    def __init__(self):
        self.counters = {"ok": 0, "internal": 0}
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(PAGE.format(**page.counters).encode())

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def metrics():
    page = MetricsPage()
    yield page
    page.close()


@pytest.fixture
def make_context(tmp_path, metrics, closed_port, tracking_database):
    shutil.copy(tracking_database, tmp_path / "mlflow.db")

    def make(**monitoring):
        settings = Settings.model_validate(
            {
                "model_name": "tiny",
                "store": {"url": str(tmp_path / "store")},
                "tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}",
                "artifact_uri": str(tmp_path / "artifacts"),
                "serving": {
                    "rest_port": metrics.port,
                    "grpc_port": closed_port,
                    "retries": 0,
                    "timeout_seconds": 2,
                },
                "monitoring": {"log_share": 1.0} | monitoring,
            }
        )
        return Context(settings, open_store(settings.store))

    return make


def look(context, number=1, now=NOON, by_hand=False):
    """All steps; the server is asked for its version where nobody listens, which is one finding."""
    monitor_id = f"look-{number}"
    check_serving.run(context, monitor_id, now)
    measure_traffic.run(context, monitor_id, now)
    measure_drift.run(context, monitor_id, now)
    return report_monitoring.run(context, monitor_id, now, by_hand=by_hand)


def names(report):
    return [finding["name"] for finding in report["beyond"]]


def test_before_the_first_promotion_nothing_is_beyond_its_limit(make_context):
    report = look(make_context())

    assert (report["version"], report["beyond"], report["alert"]) == (None, [], False)
    assert report["unknown"] == len(report["findings"]) == 14


def test_a_server_that_does_not_answer_and_a_registry_without_a_champion_are_told(make_context):
    context = make_context()
    make_version(context.store, "tiny")

    report = look(context)

    assert names(report) == ["model server", "registry"]
    assert "UNAVAILABLE" in report["beyond"][0]["measured"]
    assert report["alert"]


def test_traffic_is_what_was_added_since_the_last_look(make_context, metrics):
    context = make_context()
    metrics.counters = {"ok": 1000, "internal": 0}
    report_monitoring.remember(context, look(context))

    metrics.counters = {"ok": 1180, "internal": 20}
    found = measure_traffic.run(context, "look-2", NOON + timedelta(hours=1))

    errors = found["findings"][0]
    assert (errors["status"], errors["value"]) == ("beyond", 0.1)
    assert errors["measured"] == "10.00%, 20 of 200 requests since 2026-03-01 12:00 UTC"
    assert found["p95_ms"] == pytest.approx(17.1)


def test_a_server_that_started_anew_is_counted_from_its_start(make_context, metrics):
    context = make_context()
    metrics.counters = {"ok": 1000, "internal": 500}
    report_monitoring.remember(context, look(context))

    metrics.counters = {"ok": 200, "internal": 0}
    found = measure_traffic.run(context, "look-2", NOON + timedelta(hours=1))

    assert found["requests"] == {"OK": 200, "INTERNAL": 0}
    assert found["since"] == "the server started"
    assert found["findings"][0]["status"] == "within"


def test_a_server_without_metrics_is_unknown_and_keeps_what_was_counted(make_context, metrics, closed_port):
    context = make_context()
    metrics.counters = {"ok": 1000, "internal": 0}
    report_monitoring.remember(context, look(context))
    serving = context.settings.serving.model_copy(update={"rest_port": closed_port})
    down = Context(context.settings.model_copy(update={"serving": serving}), context.store)

    report = look(down, 2)
    report_monitoring.remember(down, report)

    errors = next(finding for finding in report["findings"] if finding["name"] == "errors")
    assert errors["status"] == "unknown"
    assert errors["measured"] == f"the model server does not answer over REST, at 127.0.0.1:{closed_port}"
    assert load_state(context.store, "tiny").counters["requests"]["OK"] == 1000


def test_a_look_that_is_done_again_measures_the_same(make_context, metrics):
    context = make_context()
    metrics.counters = {"ok": 300, "internal": 0}

    first, again = (measure_traffic.run(context, "look-1", NOON) for _ in range(2))

    assert first == again


def test_requests_like_the_training_data_are_within(make_context):
    context = make_context()
    make_version(context.store, "tiny")
    log_requests(context.store, "tiny", make_rows(300, seed=5))

    found = measure_drift.run(context, "look-1", NOON)

    assert {finding["status"] for finding in found["findings"]} == {"within"}
    assert (found["version"], found["snapshot_id"], found["rows"]) == (1, "s1", 300)
    assert found["figures"] == ["answers.png", "inputs.png"]


def test_rows_of_other_versions_and_from_before_the_window_do_not_count(make_context):
    context = make_context(window_hours=1)
    make_version(context.store, "tiny")
    log_requests(context.store, "tiny", make_rows(300, seed=5))
    log_requests(context.store, "tiny", make_rows(30, seed=6, version=2, brighter=90))

    assert measure_drift.run(context, "look-1", NOON)["rows"] == 60


def test_drift_is_told_once_and_again_after_a_day(make_context, metrics):
    context = make_context()
    make_version(context.store, "tiny")
    log_requests(context.store, "tiny", make_rows(1400, seed=5, brighter=15))
    alerts = []
    for hour in range(3):
        report = look(context, hour, NOON + timedelta(minutes=10 * hour))
        report_monitoring.remember(context, report)
        alerts.append(report["alert"])
    later = look(context, 3, NOON + timedelta(hours=24))

    assert alerts == [True, False, False]
    assert later["alert"]


def test_what_got_well_and_drifts_again_is_told_again(make_context):
    context = make_context(window_hours=2)
    make_version(context.store, "tiny")
    log_requests(context.store, "tiny", make_rows(120, seed=5, brighter=15))
    report_monitoring.remember(context, look(context, 1))
    report_monitoring.remember(context, look(context, 2, NOON + timedelta(hours=5)))

    assert "Drift: brightness" not in load_state(context.store, "tiny").told
    assert look(context, 3, NOON)["alert"]


def test_the_page_opens_without_a_network_and_says_what_was_found(make_context, tmp_path):
    context = make_context()
    make_version(context.store, "tiny")
    log_requests(context.store, "tiny", make_rows(300, seed=5, brighter=15))

    report = look(context)

    path = tmp_path / "report.html"
    path.write_bytes(context.store.get("monitoring/tiny/look-1/report.html"))
    opened = open_offline(path)
    assert opened.requested == [path.as_uri()]
    assert (opened.failed, opened.complaints, opened.broken, opened.pictures) == ([], [], [], 2)
    assert opened.width <= 1200
    page = path.read_text(encoding="utf-8")
    assert "3 of 14 are beyond their limits" in page
    assert "No image, and no digest of one." in page
    assert read_json(context.store, "monitoring/tiny/look-1/report.json") == json.loads(json.dumps(report))


def drifted_context(make_context, **monitoring):
    context = make_context(retrain_on_drift=True, **monitoring)
    make_version(context.store, "tiny")
    log_requests(context.store, "tiny", make_rows(300, seed=5, brighter=15))
    return context


def newer_snapshot(context):
    context.store.put("snapshots/latest.json", json.dumps({"snapshot_id": "s2"}).encode())


def test_drift_starts_a_retraining_once_for_a_version(make_context):
    context = drifted_context(make_context)
    newer_snapshot(context)

    first = look(context, 1)
    report_monitoring.remember(context, first)
    again = look(context, 1)
    second = look(context, 2)

    assert first["retrain"]
    assert again["retrain"], "the same task tried again"
    assert (second["retrain"], second["retraining"]) == (False, "Retrain was started for version 1 before.")


def test_the_next_version_may_be_retrained_for_a_drift_of_its_own(make_context):
    context = drifted_context(make_context)
    newer_snapshot(context)
    report_monitoring.remember(context, look(context, 1))
    make_version(context.store, "tiny", 2)
    log_requests(context.store, "tiny", make_rows(300, seed=5, version=2, brighter=15))
    context.store.put("snapshots/latest.json", json.dumps({"snapshot_id": "s3"}).encode())

    assert look(context, 2)["retrain"]


def test_nothing_is_retrained_on_the_very_same_snapshot(make_context):
    report = look(drifted_context(make_context))

    assert not report["retrain"]
    assert report["retraining"].startswith("Retrain is not started: there is no newer snapshot than s1")


@pytest.mark.parametrize("asked", [False, True], ids=["not asked for", "by hand"])
def test_nothing_is_retrained_unless_the_dag_is_asked_to(make_context, asked):
    context = drifted_context(make_context)
    newer_snapshot(context)
    if not asked:
        monitoring = context.settings.monitoring.model_copy(update={"retrain_on_drift": False})
        context = Context(context.settings.model_copy(update={"monitoring": monitoring}), context.store)

    report = look(context, by_hand=asked)

    assert not report["retrain"]
    assert report["retraining"]


def test_without_drift_nothing_is_said_of_retraining(make_context):
    context = make_context(retrain_on_drift=True)
    make_version(context.store, "tiny")
    newer_snapshot(context)
    log_requests(context.store, "tiny", make_rows(300, seed=5))

    assert (look(context)["retrain"], look(context)["retraining"]) == (False, "")


def test_what_is_too_old_is_removed_and_the_state_stays(make_context):
    context = make_context(retention_days=30)
    make_version(context.store, "tiny")
    log_requests(context.store, "tiny", make_rows(120, seed=5))
    report = look(context)
    report_monitoring.remember(context, report | {"at": (datetime.now(UTC) - timedelta(days=365)).isoformat()})
    assert list(context.store.list("requests/"))

    report_monitoring.remember(context, report | {"at": (datetime.now(UTC) + timedelta(days=31)).isoformat()})

    assert not list(context.store.list("requests/"))
    assert [info.key for info in context.store.list("monitoring/")] == ["monitoring/tiny/state.json"]
