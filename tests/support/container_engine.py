"""A container engine from Debian's packages, for tests of docker-compose.yaml on a machine without a registry.

The engine has a folder of its own, no bridge and no rules of a firewall, so that root is all that it needs. Images are
built from Debian's packages and this repository (infra/compose/local-images.yaml). The folder is kept: what has not
changed is not built again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Engine", "Project", "missing_for_engine", "running_engine"]

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yaml", "infra/compose/local-images.yaml")
START_SECONDS = 60
BASE = "quartet-base:local"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
IMAGES = {"core": "quartet/core:0.1.0", "worker": "quartet/worker:0.1.0"}


def missing_for_engine() -> str:
    """What this machine lacks, in words; empty when an engine can be started."""
    if os.geteuid() != 0:
        return "an engine of one's own wants root"
    absent = [name for name in ("dockerd", "docker", "debootstrap") if shutil.which(name) is None]
    return f"there is no {', no '.join(absent)}" if absent else ""


@dataclass(frozen=True)
class Engine:
    """An engine that runs.

    Attributes:
        environ: for docker's client.
    """

    environ: Mapping[str, str] = field(repr=False)

    def docker(self, *arguments: str, check: bool = True, seconds: float = 1800) -> str:
        """Run docker's client; returns what it prints."""
        return _run(("docker", *arguments), self.environ, check, seconds)

    def build(self) -> None:
        """All images."""
        if not self.docker("images", "--quiet", BASE).strip():
            self._base()
        common = ("buildx", "build", "--network=host", "--load", "--build-arg", f"BASE_IMAGE={BASE}")
        for target, name in IMAGES.items():
            self.docker(
                *common, "--file", str(ROOT / "infra/docker/Dockerfile"), "--target", target, "--tag", name, str(ROOT)
            )
        self.docker(*common, "--tag", "quartet/local-services:0.1.0", str(ROOT / "infra/compose/local"))

    def _base(self) -> None:
        """Debian with Python, and this machine's authorities, which may stand between it and the package index."""
        folder = Path(self.environ["DOCKER_CONFIG"]).parent / "base"
        shutil.rmtree(folder, ignore_errors=True)
        packages = "--include=python3,python3-venv,ca-certificates"
        _run(("debootstrap", "--variant=minbase", packages, "bookworm", str(folder)), self.environ, True, 600)
        shutil.copy(CERTIFICATES, folder / CERTIFICATES.relative_to("/"))
        changes = [f"ENV {name}={CERTIFICATES}" for name in ("PIP_CERT", "SSL_CERT_FILE")]
        options = [part for change in changes for part in ("--change", change)]
        archive = subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "import", *options, "-", BASE], env=dict(self.environ), stdin=archive.stdout, check=True
        )
        archive.wait()
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Project:
    """The compose stack, under a name of its own."""

    engine: Engine
    name: str
    env_file: Path

    def compose(self, *arguments: str, check: bool = True, seconds: float = 900) -> str:
        """Run compose; returns what it prints."""
        files = [part for file in FILES for part in ("--file", str(ROOT / file))]
        head = ("compose", "--project-name", self.name, "--env-file", str(self.env_file), *files)
        return self.engine.docker(*head, *arguments, check=check, seconds=seconds)

    def container(self, service: str) -> str:
        """Id of a service's container."""
        return self.compose("ps", "--all", "--quiet", service).strip()

    def logs(self, service: str) -> str:
        """What a service has printed."""
        return self.compose("logs", "--no-color", "--no-log-prefix", service)

    def kill(self, service: str) -> None:
        """End a service at once with all its processes, as a fault would: the engine starts it again."""
        pid = int(self.engine.docker("inspect", "--format", "{{.State.Pid}}", self.container(service)))
        os.kill(pid, signal.SIGKILL)

    def restarts(self, service: str) -> int:
        """How often the engine has started it again."""
        return int(self.engine.docker("inspect", "--format", "{{.RestartCount}}", self.container(service)))


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """An engine in a folder; it ends with the block, what it built stays."""
    config = folder / "client"
    plugins = config / "cli-plugins"
    if not (plugins / "docker-compose").exists():
        plugins.mkdir(parents=True, exist_ok=True)
        tools = folder / "tools"
        fetch = ("sh", str(ROOT / "infra/ci/trixie.sh"), str(tools), "docker-compose", "docker-buildx")
        _run(fetch, os.environ, True, 300)
        for name in ("docker-compose", "docker-buildx"):
            shutil.copy(tools / "bin" / name, plugins / name)
    socket = folder / "docker.sock"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE_", "QUARTET"))}
    environ |= {"DOCKER_HOST": f"unix://{socket}", "DOCKER_CONFIG": str(config), "DOCKER_BUILDKIT": "1"}
    command = [
        "dockerd",
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"), "--host", f"unix://{socket}"),
        *("--pidfile", str(folder / "docker.pid"), "--storage-driver=overlay2", "--bridge=none"),
        *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
    ]
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        engine = Engine(environ)
        try:
            _wait(engine, process, folder / "dockerd.log")
            yield engine
        finally:
            process.terminate()
            process.wait(60)


def _wait(engine: Engine, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if "Server Version" in engine.docker("info", check=False, seconds=20):
            return
        time.sleep(0.5)
    raise AssertionError(f"The engine does not run:\n{log.read_text()[-3000:]}")


def _run(command: tuple[str, ...], environ: Mapping[str, str], check: bool, seconds: float) -> str:
    result = subprocess.run(
        command, cwd=ROOT, env=dict(environ), capture_output=True, text=True, check=False, timeout=seconds
    )
    if check and result.returncode:
        said = f"{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        raise AssertionError(f"{' '.join(command[:3])} ... ended with status {result.returncode}:\n{said}")
    return result.stdout
