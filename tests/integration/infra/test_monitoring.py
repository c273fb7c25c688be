"""A real Prometheus over the exporter, a model server, its sync and StatsD: every panel of a dashboard has data."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml

from bench.decided import store_run
from free_ports import free_ports
from infra.monitoring.answers import Prometheus
from infra.monitoring.check import missing
from infra.monitoring.dashboards import load_dashboards
from infra.monitoring.sheet import draw
from local_stack import append, local_server, serving_settings
from ml.context import Context
from ml.storage import open_store
from required import require_program
from serving.client import GrpcClient
from serving.trial import wait_for_label
from tiny_classifiers import draw as draw_image
from tiny_classifiers import publish_version

pytestmark = [pytest.mark.slow, pytest.mark.server]

ROOT = Path(__file__).parents[3]
SECONDS = 60


@pytest.fixture(scope="module")
def needed_programs():
    require_program("prometheus")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, needed_programs):
    folder = tmp_path_factory.mktemp("monitoring")
    settings = serving_settings(folder)
    store = open_store(settings.store)
    store_run(Context(settings, store), "run-1")
    version = publish_version(store, "m", 1, folder)
    append(settings, version, "promote")
    ports = dict(zip(("exporter", "statsd-exporter", "model-sync", "localhost", "udp"), free_ports(5), strict=True))
    ports["model-server"] = settings.serving.rest_port
    document = yaml.safe_load((ROOT / "infra/monitoring/prometheus.yaml").read_text())
    document["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    document["rule_files"] = [str(ROOT / "infra/monitoring/rules/*.yaml")]
    for scraped in document["scrape_configs"]:
        for one in scraped["static_configs"]:
            one["targets"] = [f"127.0.0.1:{ports[target.partition(':')[0]]}" for target in one["targets"]]
    (folder / "prometheus.yaml").write_text(json.dumps(document))
    python = sys.executable
    commands = [
        [python, "-c", "from ml.cli import main; main()", "exporter", "--port", str(ports["exporter"])],
        [python, "-m", "serving.sync"],
        [
            python,
            "infra/compose/local/statsd_exporter.py",
            "--statsd.mapping-config=infra/monitoring/statsd-mapping.yaml",
            f"--statsd.listen-udp=127.0.0.1:{ports['udp']}",
            f"--web.listen-address=127.0.0.1:{ports['statsd-exporter']}",
        ],
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{ports['localhost']}",
        ],
    ]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "QUARTET_CONFIG": str(folder / "quartet.yaml"),
        "QUARTET__SERVING__SYNC_PORT": str(ports["model-sync"]),
    }
    with local_server(folder), (folder / "log").open("wb") as log:
        started = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) for command in commands]
        try:
            with GrpcClient.from_settings(settings) as client:
                wait_for_label(client, "stable", 1, SECONDS)
                yield f"http://127.0.0.1:{ports['localhost']}", client, ports["udp"]
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                process.wait(20)


def test_every_panel_about_serving_has_data_and_can_be_drawn(prometheus, tmp_path):
    url, client, port = prometheus
    (dashboard,) = [one for one in load_dashboards() if one.name == "serving"]
    asked = Prometheus(url, seconds=120)
    deadline = time.monotonic() + SECONDS
    while True:
        client.predict([draw_image(1)])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"airflow.scheduler_heartbeat:1|c", ("127.0.0.1", port))
        try:
            answered = [asked.ask(panel) for panel in dashboard.panels]
        except requests.ConnectionError:
            answered = []
        if answered and not missing(answered):
            break
        assert time.monotonic() < deadline, missing(answered)
        time.sleep(0.5)

    draw(dashboard, answered, tmp_path / "serving.png")

    served = next(one for one in answered if one.panel.title == "Stable version")
    assert [series.last for series in served.series] == [1]
    assert (tmp_path / "serving.png").stat().st_size > 20_000
    assert not [one for one in _alerts(url) if one["state"] == "firing"]


def test_all_that_is_scraped_is_up(prometheus):
    targets = requests.get(f"{prometheus[0]}/api/v1/targets", timeout=10).json()["data"]["activeTargets"]

    assert {one["labels"]["job"]: one["lastError"] for one in targets} == dict.fromkeys(
        ("prometheus", "exporter", "airflow", "model-server", "model-sync"), ""
    )


def _alerts(url):
    return requests.get(f"{url}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
