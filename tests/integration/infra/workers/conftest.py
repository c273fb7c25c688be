"""One stack of several workers, and one run of `retrain` in which a worker is killed while it extracts."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from celery_stack import celery_stack
from required import end_without
from s3_servers import use_credentials
from system_servers import find_postgres, missing_programs


@dataclass
class Kill:
    """Ends the first worker that is about to write its second shard.

    Attributes:
        victim: its name.
        shard: that it was writing.
    """

    stack: object
    victim: str = ""
    shard: str = ""
    written: dict = field(default_factory=dict)

    def __call__(self, request):
        if self.victim or request.method != "PUT" or not is_shard(request.key):
            return
        self.written[request.by] = self.written.get(request.by, 0) + 1
        if self.written[request.by] == 2:
            self.victim, self.shard = request.by, request.key
            self.stack.kill(self.victim)


def is_shard(key):
    return key.startswith("features/") and key.endswith(".npy")


@pytest.fixture(scope="package")
def stack(tmp_path_factory):
    end_without(missing_programs())
    with pytest.MonkeyPatch.context() as patch:
        use_credentials(patch)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        with celery_stack(tmp_path_factory.mktemp("celery"), find_postgres()) as running:
            yield running


@pytest.fixture(scope="package")
def kill(stack):
    return Kill(stack)


@pytest.fixture(scope="package")
def run(stack, kill):
    """A run that has succeeded although a worker was killed."""
    stack.api.unpause("retrain")
    stack.on_request = kill
    run = stack.finish(stack.api.trigger("retrain", {"reason": "to see a worker killed"}))
    assert kill.victim, "no worker wrote a second shard, so none was killed"
    return run


@pytest.fixture(scope="package")
def tries(stack, run):
    return stack.tries(run)
