import subprocess
import sys
import weakref

from ml.machine import claim_accelerator, claim_one, describe_machine, release_memory

#: Claims one of two devices, says which, and keeps it until its input ends.
PROGRAM = """
import sys
from pathlib import Path
from ml.machine import claim_one
print(claim_one("01", Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def end(process):
    process.communicate()
    assert process.returncode == 0


def test_each_process_gets_a_device_of_its_own_and_leaves_it_when_it_ends(tmp_path):
    one, two = start(tmp_path), start(tmp_path)
    claimed = {int(process.stdout.readline()): process for process in (one, two)}
    assert set(claimed) == {0, 1}

    waiting = start(tmp_path)
    end(claimed[1])
    assert int(waiting.stdout.readline()) == 1
    end(claimed[0])
    end(waiting)


def test_a_device_is_kept_by_the_process_that_claimed_it(tmp_path):
    assert (claim_one(["0", "1"], tmp_path), claim_one(["0", "1"], tmp_path)) == ("0", "1")


def test_without_a_gpu_the_processor_computes():
    assert claim_accelerator() == "CPU"
    assert describe_machine().endswith("cores")


#: Keeps the last piece of many, so that the heap cannot shrink from its end, and says the resident MiB with them all,
#: without them, and after the release.
PIECES = """
from pathlib import Path
from ml.machine import release_memory

def resident():
    return next(int(line.split()[1]) / 1024 for line in Path("/proc/self/status").open() if line.startswith("VmRSS"))

pieces = [bytes(60_000) for _ in range(4000)]
before = resident()
last = pieces.pop()
del pieces
kept = resident()
release_memory()
print(before, kept, resident())
"""


def test_memory_that_nothing_uses_goes_back():
    done = subprocess.run([sys.executable, "-c", PIECES], capture_output=True, text=True, check=True)
    before, kept, released = map(float, done.stdout.split())

    assert before - kept < 100  # else there is nothing to release
    assert before - released > 150


def test_what_refers_to_itself_is_released():
    class Node:
        pass

    node = Node()
    node.itself = node
    seen = weakref.ref(node)
    del node
    release_memory()

    assert seen() is None
