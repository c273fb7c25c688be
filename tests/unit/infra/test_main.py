from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from infra.local import __main__ as command_line
from infra.local.processes import component_status, start


def invoke(*arguments):
    return CliRunner().invoke(command_line.app, [str(argument) for argument in arguments])


def test_status_of_a_fresh_checkout_shows_everything_stopped(tmp_path):
    result = invoke("status", "--root", tmp_path)
    assert result.exit_code == 0
    assert result.output.count("stopped") == 5


def test_status_shows_what_a_component_that_died_printed_last(layout, python_component, wait_until):
    start(layout, python_component("print('out of [memory]')", name="scheduler"))
    wait_until(lambda: component_status(layout, "scheduler").state == "died")
    result = invoke("status", "--root", layout.root)
    assert result.exit_code == 1
    assert "out of [memory]" in result.output


def test_logs_of_one_component(layout):
    layout.log_file("scheduler").write_text("first\nsecond\n")
    result = invoke("logs", "scheduler", "--lines", 1, "--root", layout.root)
    assert "second" in result.output
    assert "first" not in result.output
    assert "api-server" not in result.output


def test_down_of_a_fresh_checkout_is_no_error(tmp_path):
    assert invoke("down", "--root", tmp_path).exit_code == 0


def test_an_error_ends_with_status_1_and_the_remedy(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["infra.local", "logs", "webserver", "--root", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        command_line.main()
    assert caught.value.code == 1
    assert "Remedy: Known: model-server" in capsys.readouterr().err
