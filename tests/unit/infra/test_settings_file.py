from __future__ import annotations

import pytest

from infra.local.settings_file import local_settings, write_settings
from ml.config import load_settings
from ml.errors import ConfigError


@pytest.fixture
def root(tmp_path):
    (tmp_path / "quartet.yaml").write_text("model_name: tiny\nweights: {mirror: weights}\n")
    return tmp_path


def test_relative_paths_become_absolute_ones_below_the_root(root):
    settings = local_settings(root, {})
    assert settings.store.url == str(root / "var/store")
    assert settings.store.cache_dir == root / "var/cache"
    assert settings.serving.model_dir == root / "var/models"
    assert settings.weights.mirror == str(root / "weights")
    assert settings.artifact_uri == str(root / "var/mlflow/artifacts")
    assert settings.tracking_uri == f"sqlite:///{root}/var/mlflow/mlflow.db"


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("QUARTET__STORE__URL", "s3://bucket/prefix", lambda settings: settings.store.url),
        ("QUARTET__TRACKING_URI", "http://mlflow:5000", lambda settings: settings.tracking_uri),
        ("QUARTET__TRACKING_URI", "sqlite:////elsewhere/mlflow.db", lambda settings: settings.tracking_uri),
        ("QUARTET__ARTIFACT_URI", "/elsewhere", lambda settings: settings.artifact_uri),
    ],
    ids=["bucket", "server", "absolute database", "absolute folder"],
)
def test_what_is_absolute_already_stays(root, variable, value, read):
    assert read(local_settings(root, {variable: value})) == value


def test_the_server_stays_on_the_loopback_address(root):
    assert local_settings(root, {"QUARTET__SERVING__HOST": "0.0.0.0"}).serving.host == "127.0.0.1"


def test_another_file_can_be_named(root, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("model_name: other\n")
    assert local_settings(root, {"QUARTET_CONFIG": str(other)}).model_name == "other"


def test_a_root_without_settings_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"quartet\.yaml"):
        local_settings(tmp_path, {})


def test_the_written_file_reads_back_as_the_same_settings(root, tmp_path):
    settings = local_settings(root, {"QUARTET__CLASSES": "[a, b]", "QUARTET__WEIGHTS": "random"})
    path = tmp_path / "written.yaml"
    assert write_settings(path, settings)
    assert load_settings(path, {}) == settings


def test_writing_the_same_again_changes_nothing(root, tmp_path):
    path = tmp_path / "written.yaml"
    settings = local_settings(root, {})
    write_settings(path, settings)
    before = path.stat()
    assert not write_settings(path, settings)
    assert path.stat().st_ino == before.st_ino
    assert write_settings(path, local_settings(root, {"QUARTET__MODEL_NAME": "other"}))


def test_secrets_of_the_alerts_reach_the_components_in_a_file_for_the_owner_only(root, tmp_path):
    settings = local_settings(root, {"QUARTET__ALERTS__SLACK__WEBHOOK_URL": "https://hooks.example/secret"})
    path = tmp_path / "written.yaml"
    write_settings(path, settings)
    assert load_settings(path, {}).alerts.slack.webhook_url.get_secret_value() == "https://hooks.example/secret"
    assert path.stat().st_mode & 0o777 == 0o600
