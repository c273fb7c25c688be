import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet

from infra.compose.env import SECRETS, render

ROOT = Path(__file__).resolve().parents[4]


def values(text):
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_each_secret_is_random_and_long():
    first, second = values(render("cpu")), values(render("cpu"))

    for name in SECRETS:
        assert len(first[name]) >= 40
        assert first[name] != second[name]
    assert len({first[name] for name in SECRETS}) == len(SECRETS)
    Fernet(first["AIRFLOW_FERNET_KEY"].encode())


def test_secrets_need_no_escaping_in_addresses():
    for name, value in values(render("cpu")).items():
        if name in SECRETS and name != "AIRFLOW_FERNET_KEY":
            assert re.fullmatch(r"[0-9a-f]+", value)


def test_compose_file_requires_exactly_these_secrets():
    text = (ROOT / "docker-compose.yaml").read_text()

    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(SECRETS)


def test_no_secret_has_a_default():
    text = (ROOT / "docker-compose.yaml").read_text()

    assert not [name for name in SECRETS if re.search(rf"\$\{{{name}:?-", text)]


def test_ports_are_published_on_the_loopback_address_only():
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]

    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_service_is_hardened():
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]

    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] != "0" or name == "volume-init", name


def test_what_runs_on_is_looked_at_and_limited():
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]

    for name, service in services.items():
        if service["restart"] == "unless-stopped":
            assert service["healthcheck"]["test"], name
            assert service["deploy"]["resources"]["limits"]["memory"], name


@pytest.mark.parametrize(
    ("profiles", "message"),
    [("cpu,gpu", "one of cpu and gpu"), ("monitoring", "one of cpu and gpu"), ("cpu,grafana", "'grafana'")],
)
def test_wrong_profiles_are_named(profiles, message):
    with pytest.raises(ValueError, match=message):
        render(profiles)


def test_demo_has_the_settings_of_the_demo():
    assert values(render("cpu,demo"))["QUARTET_SETTINGS_FILE"] == "./infra/compose/quartet.demo.yaml"
    assert values(render("cpu"))["QUARTET_SETTINGS_FILE"] == "./infra/quartet.production.yaml"


def make_env(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "infra.compose.env", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_file_is_for_its_owner_and_never_written_over(tmp_path):
    assert make_env(tmp_path).returncode == 0
    written = (tmp_path / ".env").read_text()
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600

    again = make_env(tmp_path)

    assert again.returncode == 1
    assert "left alone" in again.stderr
    assert (tmp_path / ".env").read_text() == written
