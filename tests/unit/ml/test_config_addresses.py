"""Addresses in the settings, which are printed and stored, hold no credentials."""

from __future__ import annotations

import traceback

import pytest

from ml.config import load_settings
from ml.errors import ConfigError

WORD = "hunter-2"


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("QUARTET__TRACKING_URI", f"postgresql://mlflow:{WORD}@db/mlflow"),
        ("QUARTET__ARTIFACT_URI", f"https://u:{WORD}@artifacts"),
        ("QUARTET__STORE__ENDPOINT_URL", f"http://key:{WORD}@minio:9000"),
        ("QUARTET__STORE__URL", f"s3://key:{WORD}@bucket"),
        ("QUARTET__TRACKING_URI", f"'http://u:{WORD}@mlflow"),
    ],
    ids=["tracking", "artifacts", "endpoint", "store", "no YAML"],
)
def test_credentials_in_an_address_are_refused_and_not_quoted(variable, address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        load_settings(environ={variable: address})

    assert WORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("address", ["http://mlflow:5000", "sqlite:////var/a@b/mlflow.db", "var/a@b"])
def test_other_addresses_are_taken(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert load_settings(environ={"QUARTET__TRACKING_URI": address}).tracking_uri == address
