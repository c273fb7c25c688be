"""Checks the stack's files with the tools that will read them: ``python -m infra.lint``, or ``make lint-infra``.

Each tool takes what it finds in the repository. One that is not installed is named and counted; where CI is ``true``
that is a failure, but for those that no package of Debian 12 has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Result", "check_all", "main"]

ROOT = Path(__file__).resolve().parents[1]
#: `infra/ci/trixie.sh` fetches them from Debian 13.
NOT_IN_DEBIAN_12 = {"kustomize", "docker compose"}
KUSTOMIZE_KINDS = {"Kustomization", "Component"}
#: Kinds of operators, of which Kubernetes itself has no schema.
WITHOUT_SCHEMA = {"PodMonitor", "ServiceMonitor"}
REQUIRED = re.compile(r"\$\{([A-Z0-9_]+):\?")
Status = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Result:
    """Of one tool on one subject.

    Attributes:
        tool: its name.
        subject: a file or folder, relative to the repository; empty when the tool is missing.
        status: failed and skipped ones say why in ``text``.
        text: the tool's own words.
    """

    tool: str
    subject: str
    status: Status
    text: str = ""


@dataclass(frozen=True)
class _Tool:
    """A program, by the first of several commands that is installed."""

    name: str
    commands: tuple[tuple[str, ...], ...]

    def command(self) -> tuple[str, ...] | None:
        for command in self.commands:
            found = _program(command[0])
            if found and (len(command) == 1 or _runs([found, *command[1:], "--help"])):
                return (found, *command[1:])
        return None


COMPOSE_SCHEMA = _Tool("check-jsonschema", (("check-jsonschema",),))
COMPOSE = _Tool("docker compose", (("docker-compose",), ("docker", "compose")))
HADOLINT = _Tool("hadolint", (("hadolint",),))
KUBERNETES = _Tool("kubernetes-validate", (("kubernetes-validate",),))
KUSTOMIZE = _Tool("kustomize", (("kustomize", "build"), ("kubectl", "kustomize")))
PROMTOOL = _Tool("promtool", (("promtool",),))
SHELLCHECK = _Tool("shellcheck", (("shellcheck",),))


def check_all(root: Path = ROOT) -> Iterator[Result]:
    """Check everything that is there, tool by tool."""
    compose = sorted(path for path in _yaml_files(root, "*.yaml", "infra/compose/*.yaml") if _is_compose(path))
    main_compose = root / "docker-compose.yaml"
    yield from _each(COMPOSE_SCHEMA, root, compose, ["--builtin-schema", "vendor.compose-spec"])
    yield from _each(
        COMPOSE,
        root,
        compose,
        lambda path: [
            *(["-f", str(main_compose)] if path != main_compose and main_compose.exists() else []),
            *["-f", str(path), "--profile", "*", "config", "--quiet"],
        ],
        # Secrets are asked for; any will do.
        environ={name: "secret" for path in compose for name in REQUIRED.findall(path.read_text(encoding="utf-8"))},
        path_last=False,
    )
    yield from _each(HADOLINT, root, sorted(root.glob("infra/**/*Dockerfile*")), [])
    yield from _manifests(root)
    yield from _each(PROMTOOL, root, sorted(root.glob("infra/monitoring/prometheus*.yaml")), ["check", "config"])
    yield from _each(PROMTOOL, root, sorted(root.glob("infra/monitoring/rules/*.yaml")), ["check", "rules"])
    yield from _each(PROMTOOL, root, sorted(root.glob("infra/monitoring/tests/*.yaml")), ["test", "rules"])
    scripts = [*sorted(root.glob("infra/**/*.sh")), *([root / ".ci/run"] if (root / ".ci/run").exists() else [])]
    yield from _each(SHELLCHECK, root, scripts, ["--severity=warning"])


def _manifests(root: Path) -> Iterator[Result]:
    """Each plain manifest, and what each Kustomization builds."""
    documents = {path: _documents(path) for path in sorted((root / "infra/k8s").rglob("*.yaml"))}
    kinds = {path: {str(document.get("kind")) for document in found} for path, found in documents.items()}
    patches = {path.parent / patch for path, found in documents.items() for patch in _patches(found)}
    plain = [
        path
        for path, found in kinds.items()
        if found and "None" not in found and not found & KUSTOMIZE_KINDS and path not in patches
    ]
    yield from _each(KUBERNETES, root, plain, ["--strict", "--quiet"])
    build, validate = KUSTOMIZE.command(), KUBERNETES.command()
    folders = [path.parent for path, found in kinds.items() if "Kustomization" in found]
    if build is None and folders:
        yield _missing(KUSTOMIZE)
    for folder in folders if build and validate else []:
        assert build is not None
        assert validate is not None
        yield _build_and_validate(build, validate, folder, str(folder.relative_to(root)))


def _build_and_validate(build: Sequence[str], validate: Sequence[str], folder: Path, subject: str) -> Result:
    built = subprocess.run([*build, str(folder)], capture_output=True, text=True, check=False)
    if built.returncode:
        return Result(KUSTOMIZE.name, subject, "failed", built.stderr)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(built.stdout)
        file.flush()
        return _run(KUSTOMIZE.name, [*validate, "--strict", "--quiet", file.name], folder, subject)


def _each(
    tool: _Tool,
    root: Path,
    paths: Sequence[Path],
    arguments: Any,
    environ: Mapping[str, str] | None = None,
    path_last: bool = True,
) -> Iterator[Result]:
    """The tool on each file; ``arguments`` come before it, or are a function of it."""
    if not paths:
        return
    command = tool.command()
    if command is None:
        yield _missing(tool)
        return
    for path in paths:
        given = arguments(path) if callable(arguments) else arguments
        full = [*command, *given, *([str(path)] if path_last else [])]
        yield _run(tool.name, full, root, str(path.relative_to(root)), environ)


def _run(
    tool: str, command: Sequence[str], folder: Path, subject: str, environ: Mapping[str, str] | None = None
) -> Result:
    ran = subprocess.run(
        command, cwd=folder, env=os.environ | dict(environ or {}), capture_output=True, text=True, check=False
    )
    said = (ran.stdout + ran.stderr).strip()
    # The validator takes what it has no schema for as right; that may only be what is named above.
    unknown = [kind for kind in re.findall(r"Couldn't find schema for kind (\S+)", said) if kind not in WITHOUT_SCHEMA]
    if ran.returncode or unknown:
        return Result(tool, subject, "failed", said or f"status {ran.returncode}")
    return Result(tool, subject, "ok")


def _missing(tool: _Tool) -> Result:
    in_ci = os.environ.get("CI") == "true" and tool.name not in NOT_IN_DEBIAN_12
    where = "infra/ci/trixie.sh fetches it" if tool.name in NOT_IN_DEBIAN_12 else "not installed"
    return Result(tool.name, "", "failed" if in_ci else "skipped", where)


def _program(name: str) -> str | None:
    """Where a program is: beside the interpreter, or in the path."""
    return shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)


def _runs(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _yaml_files(root: Path, *patterns: str) -> list[Path]:
    return [path for pattern in patterns for path in root.glob(pattern)]


def _is_compose(path: Path) -> bool:
    return any("services" in document for document in _documents(path))


class _Loader(yaml.SafeLoader):
    """Takes compose's own tags, such as ``!reset`` and ``!override``, for their values."""


def _any_tag(loader: _Loader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _any_tag)


def _documents(path: Path) -> list[dict[str, Any]]:
    loaded = yaml.load_all(path.read_text(encoding="utf-8"), Loader=_Loader)
    return [document for document in loaded if isinstance(document, dict)]


def _patches(documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for document in documents:
        if document.get("kind") in KUSTOMIZE_KINDS:
            yield from (patch["path"] for patch in document.get("patches", []) if "path" in patch)


def main() -> int:
    """Check, and show; 1 when something failed."""
    console = Console(highlight=False, soft_wrap=True)
    counts = {"ok": 0, "failed": 0, "skipped": 0}
    for result in check_all():
        counts[result.status] += 1
        console.print(f"{result.status:8}{result.tool:20} {result.subject or result.text}", markup=False)
        if result.status == "failed" and result.subject:
            console.print(result.text, markup=False)
    console.print(", ".join(f"{number} {status}" for status, number in counts.items() if number))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
