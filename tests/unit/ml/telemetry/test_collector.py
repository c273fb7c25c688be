"""What the exporter shows of a store."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bench.decided import store_run
from ml import layout
from ml.context import Context
from ml.promotions import Champion
from ml.storage import dump_json, open_store
from ml.storage.folder import FolderStore
from ml.telemetry import FAMILIES, StoreCollector
from promoted import NOON, record_promotion
from store_figures import StoreFigures

DOCS = Path(__file__).parents[4] / "docs/metrics.md"


@pytest.fixture
def settings(make_settings):
    return make_settings({"gate": {"min_macro_f1": 0.85}})


def gathered(context, **options):
    """Values by name and labels."""
    registry = CollectorRegistry()
    collector = StoreCollector(context, **options)
    registry.register(collector)
    families = list(registry.collect())
    collector.close()
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


@pytest.fixture
def told(context):
    """Two promotions and a rejected run."""
    store_run(context, "one", wrong=12)
    record_promotion(context.store, "classifier", "one", "mobilenet", 1)
    store_run(context, "two", wrong=8, champion=Champion(1, "one", "mobilenet"))
    record_promotion(context.store, "classifier", "two", "mobilenet", 2)
    store_run(context, "three", wrong=40, champion=Champion(2, "two", "mobilenet"))
    return StoreFigures(context.store, "classifier")


def of(values, name):
    return {labels: value for (one, labels), value in values.items() if one == name}


def test_the_champion_is_that_of_the_store(context, told):
    values = gathered(context)

    row = told.read("runs/two/evaluation.json")["leaderboard"][0]
    assert values["quartet_champion_version", ()] == 2
    assert values["quartet_champion_macro_f1", ()] == row["macro_f1"]
    lower, upper = row["metrics"]["intervals"]["macro_f1"]
    bounds = {(("bound", "lower"),): lower, (("bound", "upper"),): upper}
    assert of(values, "quartet_champion_macro_f1_bound") == bounds
    recalls = {(("class", one["label"]),): one["recall"] for one in row["metrics"]["report"]}
    assert of(values, "quartet_champion_class_recall") == recalls
    assert values["quartet_champion_since_timestamp_seconds", ()] == NOON.timestamp() + 120


def test_runs_are_counted_by_outcome(context, told):
    values = gathered(context)

    runs = {dict(labels)["outcome"]: value for labels, value in of(values, "quartet_runs").items()}
    assert runs == {"promoted": 2, "rejected": 1, "waiting": 0, "held back": 0, "taken back": 0}
    assert values["quartet_run_cleared", ()] == 0
    assert values["quartet_serving_changes_total", (("action", "promote"),)] == 2


def test_the_landing_zone_is_what_no_ingest_has_seen(context, put_image):
    sizes = [len(put_image("a", f"{number}.png", seed=number)) for number in range(3)]
    context.store.put(layout.LANDING + layout.LABELS_FILE, b"source_key,label\n")

    values = gathered(context)

    assert values["quartet_landing_objects", ()] == 3
    assert values["quartet_landing_bytes", ()] == sum(sizes)


def test_the_newest_look_of_the_monitor_is_shown(context):
    finding = {"topic": "Drift", "name": "bytes", "status": "beyond", "measured": "0.3", "value": 0.3}
    report = {"at": "2026-01-02T00:00:00+00:00", "findings": [finding]}
    context.store.put(layout.monitoring_key("classifier", "look", "report.json"), dump_json(report))

    values = gathered(context)

    names = (("finding", "bytes"), ("topic", "Drift"))
    assert values["quartet_monitor_findings", (("status", "beyond"),)] == 1
    assert values["quartet_monitor_finding_value", names] == 0.3


def test_an_empty_store_is_up_and_has_no_champion(context):
    values = gathered(context)

    assert values["quartet_store_up", ()] == 1
    assert set(of(values, "quartet_exporter_part_up").values()) == {1}
    assert values["quartet_champion_version", ()] == 0
    assert not of(values, "quartet_champion_macro_f1")


def test_of_a_store_that_does_not_answer_nothing_is_shown(make_settings, closed_port, s3_credentials):
    store = {"url": "s3://lost", "endpoint_url": f"http://127.0.0.1:{closed_port}", "max_attempts": 1}
    settings = make_settings({"store": store})

    values = gathered(Context(settings, open_store(settings.store)))

    assert values["quartet_store_up", ()] == 0
    assert set(of(values, "quartet_exporter_part_up").values()) == {0}
    assert not [name for name, _ in values if name.startswith(("quartet_champion", "quartet_runs", "quartet_snap"))]


class Hanging(FolderStore):
    """A folder that stops answering."""

    seconds = 0.0

    def list(self, prefix):
        time.sleep(self.seconds)
        return super().list(prefix)

    def head(self, key):
        time.sleep(self.seconds)
        return super().head(key)


def test_a_store_that_hangs_holds_no_scrape_up_and_hides_what_was_known(settings, context, told, tmp_path):
    store = Hanging(tmp_path / "store")
    registry = CollectorRegistry()
    collector = StoreCollector(Context(settings, store), patience=2, seconds=0.01)
    registry.register(collector)
    before = registry.get_sample_value("quartet_champion_version")
    store.seconds = 4
    time.sleep(0.05)

    started = time.monotonic()
    found = {one.name: one for one in registry.collect()}

    assert before == 2
    assert time.monotonic() - started < 3.5
    assert found["quartet_store_up"].samples[0].value == 0
    assert "quartet_champion_version" not in found
    collector.close()


def test_a_damaged_record_is_said_and_hides_no_other(context, told):
    context.store.put(layout.run_summary_key("classifier", "three"), b"{")

    values = gathered(context)

    assert values["quartet_exporter_part_up", (("part", "models"),)] == 0
    assert values["quartet_store_up", ()] == 1
    assert values["quartet_runs", (("outcome", "promoted"),)] == 2


def test_the_documentation_has_every_metric_as_it_is_declared():
    rows = re.findall(r"^\| `(quartet_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", DOCS.read_text(), re.MULTILINE)

    told = [(name, kind, tuple(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in rows]
    assert told == [(one.name, one.kind, one.labels, one.text) for one in FAMILIES]


def test_it_needs_no_large_library():
    program = (
        "import sys, ml.telemetry; print(*{'tensorflow', 'airflow', 'pandas', 'keras', 'mlflow'} & set(sys.modules))"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert process.stdout.strip() == ""
