"""``python -m infra.audit``: all of it, or one part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console

from infra.audit.advisories import check_advisories
from infra.audit.errors import AuditError
from infra.audit.locked import ROOT, write_sbom
from infra.audit.planted import accept_secrets, check_secrets
from ml.terminal import run_app

if TYPE_CHECKING:
    from collections.abc import Callable

SBOM = ROOT / "var/sbom.json"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def audit(context: typer.Context) -> None:
    """Do all of it; what one part finds does not keep the others from looking."""
    if context.invoked_subcommand is not None:
        return
    parts: tuple[Callable[[], None], ...] = (lambda: secrets(accept=False), sbom, vulnerabilities)
    failures = [failure for part in parts if (failure := _failure(part)) is not None]
    for failure in failures:
        typer.echo(f"{failure.message}\n{failure.remedy}", err=True)
    if failures:
        raise typer.Exit(1)


@app.command()
def secrets(accept: bool = False) -> None:
    """Look for secrets among the files; --accept takes what is found for none."""
    if accept:
        typer.echo(f"{accept_secrets()} places look like secrets, and are taken for none from now on.")
    else:
        typer.echo(f"Secrets: none in {check_secrets()} files.")


@app.command()
def sbom() -> None:
    """Write what an installation may hold to var/sbom.json, as CycloneDX."""
    typer.echo(f"SBOM: {write_sbom(SBOM)} packages, in {SBOM.relative_to(ROOT)}.")


@app.command()
def vulnerabilities() -> None:
    """Ask PyPI for known vulnerabilities of what is locked."""
    typer.echo(f"Vulnerabilities: none that is not accepted, in {check_advisories()} packages.")


def _failure(part: Callable[[], None]) -> AuditError | None:
    try:
        part()
    except AuditError as error:
        return error
    return None


if __name__ == "__main__":
    run_app(app, Console(stderr=True))
