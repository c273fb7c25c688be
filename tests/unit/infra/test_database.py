from __future__ import annotations

import os
import sys

import pytest

from infra.local import database
from infra.local.database import prepare_database
from infra.local.errors import StackError


@pytest.fixture
def fake_airflow(layout, monkeypatch):
    """Stands for the interpreter: notes what it was asked for, makes the database, ends with $STATUS."""
    script = layout.root / "python"
    script.write_text(
        '#!/bin/sh\necho "$@" >> calls\necho "no such table"\ntouch var/airflow/airflow.db\nexit $STATUS\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return layout.root / "calls"


def prepare(layout, status=0):
    return prepare_database(layout, {**os.environ, "STATUS": str(status)}, lambda text: None)


@pytest.mark.parametrize(("gpus", "slots"), [(None, 2), ([], 2), (["0000:01:00.0"], 1), (["0000:01:00.0", "b"], 2)])
def test_a_fresh_database_is_migrated_and_given_the_pool(layout, fake_airflow, monkeypatch, gpus, slots):
    folder = layout.root / "gpus"
    for gpu in gpus or ():
        (folder / gpu).mkdir(parents=True)
    if gpus == []:
        folder.mkdir()
    monkeypatch.setattr(database, "NVIDIA", folder)

    assert prepare(layout)
    assert fake_airflow.read_text().splitlines() == [
        "-m airflow db migrate",
        f"-m airflow pools set gpu {slots} Tasks that use the accelerator",
    ]


def test_a_prepared_database_is_left_alone(layout, fake_airflow):
    prepare(layout)
    fake_airflow.unlink()
    assert not prepare(layout)
    assert not fake_airflow.exists()


def test_another_airflow_migrates_again(layout, fake_airflow, monkeypatch):
    prepare(layout)
    monkeypatch.setattr(database, "version", lambda name: "99")
    assert prepare(layout)


def test_a_database_that_was_removed_is_made_again(layout, fake_airflow):
    prepare(layout)
    layout.database.unlink()
    assert prepare(layout)


def test_a_failure_shows_what_airflow_printed_and_is_tried_again(layout, fake_airflow):
    with pytest.raises(StackError, match=r"(?s)db migrate.*status 3.*no such table"):
        prepare(layout, status=3)
    assert prepare(layout)
