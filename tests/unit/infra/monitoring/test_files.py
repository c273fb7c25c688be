"""Prometheus's and Grafana's files, held against promtool, the docs, and the metrics that there are."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.compose.local.statsd_exporter import Samples, read_rules
from infra.monitoring.dashboards import DASHBOARDS, load_dashboards
from ml.telemetry import FAMILIES
from required import require_program
from serving.server.metrics import ServerMetrics
from serving.sync_server import _States
from serving.sync_state import SyncState

ROOT = Path(__file__).parents[4]
MONITORING = ROOT / "infra/monitoring"
RULES = sorted((MONITORING / "rules").glob("*.yaml"))
TESTS = sorted((MONITORING / "tests").glob("*.yaml"))
MAPPING = read_rules((MONITORING / "statsd-mapping.yaml").read_text())
WORDS = {"by", "on", "or", "and", "unless", "ignoring", "group_left", "group_right", "without", "offset", "bool"}
TYPES = {"stat", "timeseries", "bargauge", "table", "row"}


def promtool(*arguments):
    require_program("promtool")
    process = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


def rules():
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts():
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def queries():
    return [(one.name, query.expr) for one in load_dashboards() for panel in one.panels for query in panel.queries]


def names_in(expr):
    """Metrics that an expression names."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expr)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    found = re.findall(r"[a-zA-Z_:][\w:]*(?!\w|\s*\()", re.sub(r"\boffset\s+\w+", " ", bare))
    return {name for name in found if name not in WORDS and not re.fullmatch(r"e\d+", name)}


def known_metrics():
    """All that the scraped places show."""
    server = re.findall(r"# TYPE (\S+) (\w+)", ServerMetrics().page())
    sync = [family.name for family in _States(SyncState).collect()]
    base = {one.name for one in FAMILIES} | {name for name, _ in server} | set(sync)
    base |= {rule.name for rule in MAPPING if rule.name} | {rule["record"] for rule in rules() if "record" in rule}
    return base | {"up", "prometheus_rule_evaluation_failures_total"}


def test_prometheus_takes_its_configuration():
    promtool("check", "config", MONITORING / "prometheus.yaml")


def test_every_alert_fires_and_rests_as_its_test_says():
    promtool("test", "rules", *TESTS)


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_rests():
    tested = [
        (one["alertname"], bool(one.get("exp_alerts")))
        for path in TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for one in test.get("alert_rule_test", [])
    ]

    assert {name for name, fires in tested if fires} == set(alerts())
    resting = {name for name, fires in tested if not fires}
    # Of these a test that nothing is told of an unknown is in the expression itself.
    assert set(alerts()) - resting <= {"StatsdExporterDown", "RequestsSlow"}


def test_every_alert_links_to_what_to_do():
    headings = set(re.findall(r"^### (\w+)$", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))

    assert headings == set(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/metrics.md#{name.lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_every_query_of_a_dashboard_is_promql(tmp_path):
    group = {"name": "panels", "rules": [{"record": f"p:{i}", "expr": expr} for i, (_, expr) in enumerate(queries())]}
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [group]}))

    promtool("check", "rules", tmp_path / "panels.yaml")


@pytest.mark.parametrize("expr", [*(expr for _, expr in queries()), *(rule["expr"] for rule in rules())])
def test_every_metric_that_is_asked_for_is_shown_by_somebody(expr):
    plain = {re.sub(r"_(bucket|sum|count)$", "", name) if name not in known_metrics() else name
             for name in names_in(expr)}  # fmt: skip

    assert plain
    assert plain <= known_metrics()


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path):
    document = json.loads(path.read_text())
    panels = [one for one in document["panels"] if one["type"] != "row"]

    assert document["uid"].startswith("quartet-")
    assert document["schemaVersion"] >= 39
    assert {one["type"] for one in document["panels"]} <= TYPES
    assert len({one["id"] for one in document["panels"]}) == len(document["panels"])
    assert all(one["title"] and one["description"] and one["fieldConfig"]["defaults"]["unit"] for one in panels)
    assert {one["datasource"]["uid"] for one in panels} == {"prometheus"}
    taken = [
        (x, y)
        for place in (one["gridPos"] for one in document["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_airflow_sends_every_name_of_the_mapping():
    import airflow

    registry = Path(airflow.__file__).parent / "_shared/observability/metrics/metrics_template.yaml"
    metrics = yaml.safe_load(registry.read_text())["metrics"]
    sent = {one["name"] if one["legacy_name"] == "-" else one["legacy_name"] for one in metrics}
    globs = {"airflow." + re.sub(r"\{\w+\}", "*", name) for name in sent}
    document = yaml.safe_load((MONITORING / "statsd-mapping.yaml").read_text())

    assert {one["match"] for one in document["mappings"]} - {"."} <= globs


def test_lines_of_airflow_become_metrics():
    now = [0.0]
    samples = Samples(MAPPING, lambda: now[0])
    for line in (
        "airflow.ti.finish.retrain.gate.success:1|c",
        "airflow.ti.finish.retrain.gate.success:2|c",
        "airflow.ti.finish:3|c",
        "airflow.pool.open_slots.gpu:1|g",
        "airflow.dagrun.duration.success.retrain:90000.5|ms",
        "no line",
    ):
        samples.take(line.encode())

    found = {
        (one.name, tuple(one.labels.values())): one.value for family in samples.collect() for one in family.samples
    }
    assert found["airflow_task_finishes_total", ("retrain", "gate", "success")] == 3
    assert found["airflow_pool_slots", ("gpu", "open")] == 1
    assert found["airflow_dagrun_duration_seconds_sum", ("retrain", "success")] == pytest.approx(90.0005)
    assert found["airflow_dagrun_duration_seconds_bucket", ("retrain", "success", "60.0")] == 0
    assert found["airflow_dagrun_duration_seconds_bucket", ("retrain", "success", "300.0")] == 1
    assert found["statsd_exporter_sample_errors_total", ("malformed_line",)] == 1
    assert samples.lines["dropped"] == 1
    now[0] = 301.0
    assert "airflow_pool_slots" not in {family.name for family in samples.collect()}


def test_the_stand_in_refuses_what_it_does_not_know():
    text = "defaults: {observer_type: histogram, histogram_options: {buckets: [1]}}\nmappings: [{match: a, scale: 2}]"

    with pytest.raises(ValueError, match="scale"):
        read_rules(text)
