from __future__ import annotations

import pytest
import yaml
from typer.testing import CliRunner

from ml.cli import app
from ml.errors import ConfigError


@pytest.fixture
def run_test_alerts(tmp_path, monkeypatch):
    """`quartet test-alerts` with this section `alerts`."""

    def run(alerts):
        path = tmp_path / "quartet.yaml"
        path.write_text(yaml.safe_dump({"alerts": alerts}))
        monkeypatch.setenv("QUARTET_CONFIG", str(path))
        return CliRunner().invoke(app, ["test-alerts"])

    return run


def test_a_test_alert_goes_out_and_is_told(run_test_alerts, http_sink):
    result = run_test_alerts({"webhook": {"url": http_sink.url}})

    assert result.exit_code == 0
    assert "webhook │ yes" in result.output
    assert [body["severity"] for body in http_sink.bodies] == ["info"]


def test_a_channel_that_is_down_ends_with_status_1_and_the_others_are_tried(run_test_alerts, http_sink, closed_port):
    result = run_test_alerts(
        {"slack": {"webhook_url": f"http://127.0.0.1:{closed_port}/secret"}, "webhook": {"url": http_sink.url}}
    )

    assert result.exit_code == 1
    assert "ConnectionRefusedError: Connection refused" in result.output
    assert "secret" not in result.output
    assert len(http_sink.bodies) == 1


def test_without_a_channel_there_is_nothing_to_try(run_test_alerts):
    result = run_test_alerts({})

    assert isinstance(result.exception, ConfigError)
    assert "slack, smtp or webhook" in result.exception.remedy
