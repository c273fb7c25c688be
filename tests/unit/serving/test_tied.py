import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from serving.tied import tied

#: Starts a tied program, says its pid, and waits to be killed.
STARTER = """
import subprocess, sys, time
from serving.tied import tied
child = subprocess.Popen(tied(["sleep", "600"]), start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_tied_program_ends_with_a_starter_that_was_killed():
    starter = subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True)
    pid = int(starter.stdout.readline())
    deadline = time.monotonic() + 20
    while psutil.Process(pid).name() != "sleep":
        assert time.monotonic() < deadline, "the program was not started"
        time.sleep(0.02)

    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()

    while not is_gone(pid):
        assert time.monotonic() < deadline, "the program outlives its starter"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_nothing_starts_for_a_starter_that_is_gone_already(tmp_path):
    command = [sys.executable, "-m", "serving.tied", str(os.getppid()), "touch", str(tmp_path / "started")]

    subprocess.run(command, check=True)

    assert not (tmp_path / "started").exists()


def test_a_tied_program_has_its_own_arguments_output_and_status():
    program = "import sys; print(sys.argv[1:]); sys.exit(3)"

    result = subprocess.run(tied([sys.executable, "-c", program, "a b", "--c"]), capture_output=True, text=True)

    assert (result.returncode, result.stdout.strip()) == (3, "['a b', '--c']")
