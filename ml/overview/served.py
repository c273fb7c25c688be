"""What the model server serves: asked of it, and held against the record."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ml.errors import QuartetError
from ml.overview.views import ServedView, VersionState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.config import Settings
    from ml.serving_state import ServingState

__all__ = ["ask_server", "compare_with_record"]

#: For each of the three questions: a page is waited for.
SECONDS = 0.35


def ask_server(settings: Settings) -> ServedView:
    """Ask the server that the settings name; one that does not answer within about a second is said not to."""
    from serving.client import GrpcClient
    from serving.look import look_at

    started = time.perf_counter()
    address = f"{settings.serving.host}:{settings.serving.grpc_port}"
    try:
        with GrpcClient.from_settings(settings, timeout_seconds=SECONDS, retries=0, probe=True) as client:
            look = look_at(client)
    except QuartetError as error:
        return ServedView(address, verdict=f"It does not answer: {error}", milliseconds=_since(started))
    states = tuple(VersionState(one.version, one.state, one.error_message) for one in look.versions)
    return ServedView(address, True, states, tuple(look.labels.items()), milliseconds=_since(started))


def compare_with_record(served: ServedView, wanted: ServingState | None) -> ServedView:
    """Say whether what is served is what is wanted; None is a record that cannot be read."""
    if not served.answers:
        return served
    if wanted is None:
        return replace(served, verdict="What it should serve is not known: the record cannot be read.")
    differences = list(_differences(served, wanted))
    if differences:
        return replace(served, agrees=False, verdict=" ".join(differences))
    if wanted.versions:
        return replace(served, agrees=True, verdict="It serves what the record says.")
    return replace(served, agrees=True, verdict="It serves nothing, and nothing was promoted yet.")


def _differences(served: ServedView, wanted: ServingState) -> Iterator[str]:
    """In sentences: other labels, and versions that should be loaded and are not."""
    labels = dict(served.labels)
    for label in sorted({*labels, *wanted.labels}):
        should, does = wanted.labels.get(label), labels.get(label)
        if should is None:
            yield f"By the record nothing is {label}, but it answers for {label} with version {does}."
        elif does is None:
            yield f"By the record version {should} is {label}, but it does not answer for {label}."
        elif should != does:
            yield f"By the record version {should} is {label}, but it answers for {label} with version {does}."
    told = {one.version: one for one in served.versions}
    for version in sorted(wanted.versions - set(served.available) - set(labels.values())):
        one = told.get(version)
        state = f"is {one.state}{f' ({one.error})' if one.error else ''} there" if one else "is not there"
        yield f"Version {version} should be loaded, but {state}."


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
