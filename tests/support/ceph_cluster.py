"""A Ceph cluster to be thrown away: a monitor, a storage daemon that keeps its objects in memory, an S3 gateway."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from free_ports import free_ports
from s3_servers import ACCESS_KEY, SECRET_KEY, S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PROGRAMS", "ceph_server"]

#: One of each Debian package that is needed: the others that run here come with these.
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw")
START_SECONDS = 60
#: No authentication inside the cluster, so no connection may ask for encryption. No sockets in the file system: the
#: paths of some temporary folders are too long for them. One copy of an object, however little disk is free. A change
#: of the cluster's maps is agreed upon at once, not once a second, and a short answer is sent at once, not after 40 ms.
CONFIGURATION = """\
[global]
fsid = {cluster_id}
mon host = v2:127.0.0.1:{mon_port}
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
admin socket =
run dir = {folder}
crash dir = {folder}
log file =
log to stderr = true
debug rocksdb = 0
client mount timeout = {seconds}
rados osd op timeout = {seconds}

mon data = {folder}/mon
mon data avail crit = 0
mon allow pool size one = true
paxos propose interval = 0.02
paxos min wait = 0.01

osd data = {folder}/osd
osd objectstore = memstore
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off

rgw data = {folder}
rgw frontends = beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1
"""


@contextmanager
def ceph_server() -> Iterator[S3Server]:
    """The cluster's gateway, run by whoever runs the tests; PROGRAMS must be there."""
    with tempfile.TemporaryDirectory(prefix="ceph-") as folder:
        cluster = _Cluster(Path(folder))
        try:
            yield cluster.start()
        finally:
            cluster.kill()


@dataclass
class _Cluster:
    folder: Path
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> S3Server:
        mon_port, gateway_port = free_ports(2)
        cluster_id, osd_id = str(uuid.uuid4()), str(uuid.uuid4())
        self._configuration.write_text(
            CONFIGURATION.format(
                cluster_id=cluster_id,
                mon_port=mon_port,
                gateway_port=gateway_port,
                folder=self.folder,
                seconds=START_SECONDS,
            )
        )
        (self.folder / "mon").mkdir()
        (self.folder / "osd").mkdir()

        monitors = str(self.folder / "monitors")
        self._run("monmaptool", "--create", "--fsid", cluster_id, "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", monitors)
        self._run("ceph-mon", "--mkfs", "--id", "a", "--monmap", monitors)
        self._launch("ceph-mon", "--id", "a")
        self._run("ceph", "osd", "new", osd_id)
        self._run("ceph-osd", "--mkfs", "--id", "0", "--osd-uuid", osd_id)
        self._launch("ceph-osd", "--id", "0")
        user = ("--uid", "tests", "--display-name", "tests", "--access-key", ACCESS_KEY, "--secret", SECRET_KEY)
        self._run("radosgw-admin", "user", "create", *user)
        self._launch("radosgw", "--name", "client.gateway")

        endpoint = f"http://127.0.0.1:{gateway_port}"
        self._wait_for(endpoint)
        return S3Server(endpoint)

    def kill(self) -> None:
        """End the daemons at once: an orderly end would write the objects to disk."""
        for daemon in self.daemons:
            daemon.kill()
            daemon.wait()

    @property
    def _configuration(self) -> Path:
        return self.folder / "ceph.conf"

    @property
    def _environ(self) -> dict[str, str]:
        return os.environ | {"CEPH_CONF": str(self._configuration), "CEPH_ARGS": ""}

    def _run(self, *command: str) -> None:
        try:
            subprocess.run(command, env=self._environ, capture_output=True, check=True, timeout=START_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise self._failure(f"{error}:\n{(error.stderr or b'').decode()}") from error

    def _launch(self, *command: str) -> None:
        # The kernel ends a daemon with the tests, should they be killed before they can do it.
        guarded = ("setpriv", "--pdeathsig", "KILL", *command, "--foreground")
        with (self.folder / f"{command[0]}.log").open("wb") as log:
            self.daemons.append(subprocess.Popen(guarded, env=self._environ, stdout=log, stderr=log))

    def _wait_for(self, endpoint: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and all(daemon.poll() is None for daemon in self.daemons):
            try:
                requests.get(endpoint, timeout=5)
            except requests.ConnectionError:
                time.sleep(0.05)
            else:
                return
        raise self._failure(f"Nobody answers at {endpoint}.")

    def _failure(self, message: str) -> AssertionError:
        logs = (f"{path.name}:\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log")))
        return AssertionError("\n\n".join((message, *logs)))
