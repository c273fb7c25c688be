#!/usr/bin/env python3
"""An S3 server from Debian's packages: a Ceph monitor, a storage daemon on a file, and the gateway, in one container.

Users are those of docker-compose.yaml, with their secrets from the environment. Objects outlive a kill.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

FOLDER = Path("/data")
USERS = ("root", "pipeline", "reader", "sync", "uploader", "mlflow")
CONFIGURATION = """\
[global]
fsid = {cluster}
mon host = v2:127.0.0.1:3300
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
admin socket =
run dir = /tmp
crash dir = /tmp
log file =
log to stderr = true
err to stderr = true
debug rocksdb = 0

mon data = {folder}/mon
mon data avail crit = 0
mon allow pool size one = true
paxos propose interval = 0.02
paxos min wait = 0.01

osd data = {folder}/osd
osd objectstore = bluestore
bluestore block size = {block_bytes}
bluestore cache autotune = false
bluestore cache size = 134217728
osd memory target = 939524096
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off

rgw data = {folder}
rgw frontends = beast endpoint=0.0.0.0:9000 tcp_nodelay=1
rgw relaxed s3 bucket names = true
"""
#: Of a file that grows with what is written.
BLOCK_BYTES = 2**35


def main() -> int:
    """Make the cluster once, then run it until one of its daemons ends."""
    os.environ["CEPH_CONF"] = str(FOLDER / "ceph.conf")
    made = FOLDER / "made"
    if not made.exists():
        subprocess.run(["sh", "-c", f"rm -rf {FOLDER}/*"], check=True)
        cluster = str(uuid.uuid4())
        (FOLDER / "ceph.conf").write_text(CONFIGURATION.format(cluster=cluster, folder=FOLDER, block_bytes=BLOCK_BYTES))
        for name in ("mon", "osd"):
            (FOLDER / name).mkdir()
        monitors = str(FOLDER / "monitors")
        run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", "[v2:127.0.0.1:3300]", monitors)
        run("ceph-mon", "--mkfs", "--id", "a", "--monmap", monitors)
    daemons = [launch("ceph-mon", "--id", "a")]
    if not made.exists():
        osd = str(uuid.uuid4())
        run("ceph", "osd", "new", osd)
        run("ceph-osd", "--mkfs", "--id", "0", "--osd-uuid", osd)
    daemons.append(launch("ceph-osd", "--id", "0"))
    if not made.exists():
        for user in USERS:
            secret = os.environ[f"STORE_{user.upper()}_SECRET"]
            names = ("--uid", user, "--display-name", user, "--access-key", user, "--secret", secret)
            run("radosgw-admin", "user", "create", *names)
        made.touch()
    daemons.append(launch("radosgw", "--name", "client.gateway"))
    while all(daemon.poll() is None for daemon in daemons):
        time.sleep(0.5)
    return 1


def run(*command: str) -> None:
    """Run a program of Ceph, and show what it says if it fails."""
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120)
    if result.returncode:
        sys.exit(f"{command[0]} ended with status {result.returncode}: {result.stderr}")


def launch(*command: str) -> subprocess.Popen[bytes]:
    """Start a daemon."""
    return subprocess.Popen([*command, "--foreground"])


if __name__ == "__main__":
    sys.exit(main())
