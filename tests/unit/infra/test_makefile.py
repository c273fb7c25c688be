from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAKEFILE = ROOT / "Makefile"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def make(folder, *arguments, **variables):
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture
def checkout(tmp_path):
    """Enough of a checkout for tasks that need no environment."""
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "infra/local").mkdir(parents=True)
    shutil.copy(ROOT / "infra/local/setup.sh", tmp_path / "infra/local")
    (tmp_path / "uv.lock").write_text('name = "uv"\nversion = "1.2.3"\n')
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_help_is_the_default_and_lists_every_task(checkout):
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE.read_text(), re.MULTILINE)[1].split()
    listed = [line.split()[0] for line in make(checkout).stdout.splitlines()]
    assert listed == phony


def test_every_task_is_declared_phony():
    text = MAKEFILE.read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()
    assert re.findall(r"^([a-z-]+):", text, re.MULTILINE) == phony


@pytest.mark.parametrize("task", ["status", "down", "logs"])
def test_tasks_that_act_on_what_runs_do_not_set_anything_up(checkout, task):
    result = make(checkout, task)
    assert result.returncode != 0
    assert "make setup" in result.stdout
    assert not (checkout / ".venv").exists()


def test_clean_removes_var_and_keeps_the_environment(checkout):
    executable(checkout / ".venv/bin/python", "echo $@ > stopped")
    (checkout / "var/store").mkdir(parents=True)
    assert make(checkout, "clean").returncode == 0
    assert (checkout / "stopped").read_text() == "-m infra.local down\n"
    assert not (checkout / "var").exists()
    assert (checkout / ".venv").exists()


def test_clean_keeps_var_when_the_stack_cannot_be_stopped(checkout):
    executable(checkout / ".venv/bin/python", "exit 1")
    (checkout / "var").mkdir()
    assert make(checkout, "clean").returncode != 0
    assert (checkout / "var").exists()


def test_clean_keeps_var_when_nothing_is_there_to_stop_the_stack_with(checkout):
    (checkout / "var/run").mkdir(parents=True)
    (checkout / "var/run/scheduler.json").touch()
    assert make(checkout, "clean").returncode != 0
    assert (checkout / "var").exists()


def test_without_a_suitable_python_setup_says_what_it_tried(checkout):
    executable(checkout / "old/python3", "exit 1")
    result = make(checkout, "setup", PYTHON=f"{checkout}/old/python3 no-such-python")
    assert result.returncode != 0
    assert "No Python 3.11, 3.12 or 3.13" in result.stderr
    assert "no-such-python" in result.stderr
    assert not (checkout / ".venv").exists()


def fake_python(path):
    """Stands for an interpreter that suits, makes environments with a copy of itself, and installs by note."""
    executable(
        path,
        'case "$*" in\n'
        '*"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;\n'
        '*"-m pip"*) echo "$@" >> installed; printf \'#!/bin/sh\\n[ "$1" = --version ] && echo uv 1.2.3 ||'
        ' echo "$VIRTUAL_ENV $@" >> synced\' > .venv/bin/uv; chmod +x .venv/bin/uv ;;\n'
        "esac",
    )


def test_setup_passes_over_a_python_that_does_not_run(checkout):
    executable(checkout / "bin/broken", "exit 127")
    fake_python(checkout / "bin/good")
    result = make(checkout, "setup", PYTHON=f"{checkout}/bin/broken {checkout}/bin/good")
    assert result.returncode == 0, result.stderr
    assert "uv==1.2.3" in (checkout / "installed").read_text()
    assert (checkout / "synced").read_text().startswith(f"{checkout}/.venv sync --frozen")


def test_setup_happens_again_only_when_the_lock_or_the_project_changed(checkout):
    fake_python(checkout / "bin/good")
    variables = {"PYTHON": f"{checkout}/bin/good"}
    make(checkout, "setup", **variables)
    make(checkout, "setup", **variables)
    assert len((checkout / "synced").read_text().splitlines()) == 1
    stamp = (checkout / ".venv/.synced").stat()
    os.utime(checkout / "uv.lock", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 10**9))
    make(checkout, "setup", **variables)
    assert len((checkout / "synced").read_text().splitlines()) == 2
    assert len((checkout / "installed").read_text().splitlines()) == 1


@pytest.fixture
def ci(checkout):
    (checkout / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", checkout / ".ci")

    def run(lint, infra, test):
        closing = "'== 3 passed, 9 deselected in 1.20s ==' '= 1 failed, 4 passed, 2 skipped in 70.30s (0:01:10) ='"
        (checkout / "Makefile").write_text(
            f"lint:\n\t@exit {lint}\nlint-infra:\n\t@exit {infra}\ntest:\n\t@printf '%s\\n' {closing}; exit {test}\n"
        )
        return subprocess.run([checkout / ".ci/run"], capture_output=True, text=True, cwd="/", check=False)

    return run


@pytest.mark.parametrize(
    ("lint", "infra", "test", "passes"),
    [(0, 0, 0, True), (1, 0, 0, False), (0, 1, 0, False), (0, 0, 1, False)],
    ids=["good", "lint fails", "lint of the stack fails", "tests fail"],
)
def test_ci_ends_with_one_closing_line_for_both_runs_of_pytest_and_the_right_status(ci, lint, infra, test, passes):
    result = ci(lint, infra, test)
    assert (result.returncode == 0) is passes
    assert result.stdout.splitlines()[-1] == "1 failed, 7 passed, 2 skipped in 71.50s"
