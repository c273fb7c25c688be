import pytest

from ml.errors import ServingError
from serving.server.monitoring import DEFAULT_PATH, read_monitoring_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", None),
        ("prometheus_config { }", None),
        ('prometheus_config { path: "/m" }', None),
        ("prometheus_config { enable: true }", DEFAULT_PATH),
        ('prometheus_config { enable: true path: "/m" }', "/m"),
        ('prometheus_config: {\n  enable: true,\n  path: "/m"\n}', "/m"),
    ],
    ids=["empty", "not enabled", "only a path", "default path", "own path", "as the guide writes it"],
)
def test_the_file_says_whether_and_where(tmp_path, text, path):
    file = tmp_path / "monitoring.pbtxt"
    file.write_text(text)

    assert read_monitoring_path(file) == path


def test_without_a_file_there_are_none():
    assert read_monitoring_path(None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('prometheus_config { enable: true path: "m" }', "no slash in front"),
        ("prometheus { }", "no text proto of MonitoringConfig"),
        ("prometheus_config { on: true }", "no text proto of MonitoringConfig"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    file = tmp_path / "monitoring.pbtxt"
    file.write_text(text)

    with pytest.raises(ServingError, match=message):
        read_monitoring_path(file)
