"""The settings that every component of the production stack shares, held against the installed Airflow and our DAGs."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from celery_stack import AIRFLOW_ENV, read_env_file
from plugins.assets import DEFAULT_ARGS

SETTINGS = read_env_file(AIRFLOW_ENV)
#: Every option of Airflow and of its installed providers, in a process of its own: tests share one Airflow.
PROGRAM = """
import json
from airflow.configuration import conf, retrieve_configuration_description
known = retrieve_configuration_description(include_airflow=True, include_providers=True)
print("\\n" + json.dumps([f"AIRFLOW__{s}__{o}".upper() for s, d in known.items() for o in d["options"]]))
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    environment = {"AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")), "PATH": ""}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_airflow_and_its_providers_know_every_setting(known):
    assert set(SETTINGS) - known == set()
    assert "AIRFLOW__CELERY__WORKER_CONCURRENCY" in known, "the providers were not asked"


def test_no_task_may_take_so_long_that_the_broker_gives_it_to_another_worker():
    longest = DEFAULT_ARGS["execution_timeout"].total_seconds()

    assert int(SETTINGS["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) > longest


def test_a_task_may_wait_in_the_broker_for_longer_than_any_that_is_in_its_way():
    """Airflow sends it anew twice, and then fails it."""
    longest = DEFAULT_ARGS["execution_timeout"].total_seconds()

    assert 3 * int(SETTINGS["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"]) > longest


def test_the_file_has_neither_secrets_nor_addresses():
    assert [name for name in SETTINGS if re.search(r"SECRET|PASSWORD|FERNET|CONN$|URL$|BACKEND$|HOST$", name)] == []
    assert [value for value in SETTINGS.values() if "://" in value] == []


def test_each_setting_says_why():
    text = AIRFLOW_ENV.read_text(encoding="utf-8")
    paragraphs = [paragraph for paragraph in text.split("\n\n") if "AIRFLOW__" in paragraph]

    assert [paragraph for paragraph in paragraphs if not paragraph.startswith("# ")] == []
