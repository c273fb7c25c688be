import json
import re
import subprocess
from pathlib import Path

import pytest

from infra.audit import find_secrets, write_sbom

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def repository(tmp_path):
    for command in (["init", "-q"], ["config", "user.email", "a@b"], ["config", "user.name", "a"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)

    def commit(name, text):
        (tmp_path / name).write_text(text)
        subprocess.run(["git", "add", name], cwd=tmp_path, check=True)
        return tmp_path

    return commit


def test_a_planted_key_is_found(repository):
    # In two pieces, or it would be found here as well.
    assert find_secrets(repository("settings.py", 'key = "AKIA' + 'IOSFODNN7REALKEY"\n')) != 0


def test_code_without_secrets_passes(repository):
    assert find_secrets(repository("settings.py", "key = load_key()\n")) == 0


def test_every_locked_package_is_in_the_bill_of_materials(tmp_path):
    write_sbom(tmp_path / "sbom.json")

    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    listed = {part["name"] for part in bill["components"]}
    wanted = {
        "apache-airflow",
        "tensorflow",
        "boto3",
        "great-expectations",
        "mlflow",
        "apache-airflow-providers-celery",
    }
    assert wanted <= listed
    assert all(re.fullmatch(r"pkg:pypi/.+@.+", part["purl"]) for part in bill["components"])


def test_the_threat_model_names_tests_that_exist():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text()))
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}

    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in sources and name not in files] == []
