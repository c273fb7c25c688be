"""Which runs, versions and feature maps are needed, and by what.

A run stays while anything rests on it: a version that is on record or named by an alias, the newest runs, one that
waits for a person, one that a new run like it would be measured against, and every run in which the weights of one that
stays were fitted before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import waits_for_answer
from ml.errors import StoreError
from ml.housekeeping.items import UNSET, Folder, fold, limit_of
from ml.promotions import load_changes
from ml.publication import NUMBER
from ml.registry import Registry
from ml.snapshot_pointer import read_pointer
from ml.storage import find_json
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from ml.context import Context
    from ml.storage import Store

__all__ = ["Survey", "Version", "recorded_versions", "run_of", "survey"]

READERS = 8
#: So long after its last sign a run without a word on its feature maps may be about to look for them.
AT_WORK = timedelta(days=2)


@dataclass(frozen=True)
class Version:
    """A folder of a version's files.

    Attributes:
        model: its name.
        number: its number.
        folder: what lies there.
        run: the run that made it, as the store spells it; None where that cannot be known.
        stays: why, by itself; empty where that rests on its run.
    """

    model: str
    number: int
    folder: Folder
    run: str | None
    stays: str


@dataclass
class Survey:
    """What stays and why, by name.

    Attributes:
        runs: folders by the runs' ids as the store spells them.
        staying: runs that stay, with the reason.
        versions: all.
        features: prefixes of feature maps that runs which stay are made of, with the run.
        unplanned: variants of which a run may be about to look for feature maps, with the run.
    """

    runs: Mapping[str, Folder]
    versions: tuple[Version, ...]
    staying: dict[str, str] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    unplanned: dict[str, str] = field(default_factory=dict)


def survey(context: Context, now: datetime) -> Survey:
    """Look at everything that may need something.

    Raises:
        StoreError: the store, or the registry where versions might go, does not answer.
        DataError: a record of what serves is damaged: what it names would not be known.
    """
    store, days = context.store, context.settings.retention.run_days
    limit = limit_of(days, now)
    runs = {folder.name: folder for folder in fold(store, layout.RUNS) if folder.prefix.endswith("/")}
    recorded = recorded_versions(store)
    found = Survey(runs, tuple(_versions(context, recorded, limit)))
    if limit is None:
        found.staying |= dict.fromkeys(runs, UNSET.format("run_days"))
    else:
        found.staying |= _needed(context, found, recorded, limit, days)
    _follow(store, found)
    _planned(store, found, now)
    return found


def recorded_versions(store: Store) -> dict[str, dict[int, str]]:
    """All versions on record, by model, with the run that made each, as the store spells it."""
    prefix = layout.PROMOTIONS
    names = {info.key.removeprefix(prefix).split("/")[0] for info in store.list(prefix)}
    return {
        name: {change.version: layout.safe_run_id(change.run_id) for change in load_changes(store, name)}
        for name in sorted(names)
    }


def _versions(context: Context, recorded: Mapping[str, Mapping[int, str]], limit: datetime | None) -> Iterator[Version]:
    store, aliased = context.store, None
    folders = [folder for folder in fold(store, layout.MODELS, 2) if NUMBER.fullmatch(folder.name)]
    by_model: dict[str, list[Folder]] = {}
    for folder in folders:
        by_model.setdefault(folder.prefix.split("/")[1], []).append(folder)
    for model, versions in by_model.items():
        highest = max(int(folder.name) for folder in versions)
        for folder in versions:
            number = int(folder.name)
            on_record = recorded.get(model, {})
            stays = ""
            if number in on_record:
                stays = "is on record: people can go back to it"
            elif model != context.settings.model_name:
                stays = f"is of another model than {context.settings.model_name}"
            elif limit is None:
                stays = UNSET.format("run_days")
            elif number == highest:
                stays = "has the highest number, which must not be given twice"
            elif folder.newest >= limit:
                stays = f"is younger than {context.settings.retention.run_days} days"
            else:
                aliased = _aliased(context) if aliased is None else aliased
                if number in aliased:
                    stays = f"is the registry's {aliased[number]}"
            yield Version(model, number, folder, on_record.get(number) or run_of(store, folder.prefix), stays)


def run_of(store: Store, prefix: str) -> str | None:
    """The run that made a version, as the store spells it; None where its files do not tell.

    Args:
        store: of the versions.
        prefix: of the version's files.
    """
    decision = find_json(store, f"{prefix}assets.extra/{layout.DECISION}")
    return None if decision is None or "run_id" not in decision else layout.safe_run_id(str(decision["run_id"]))


def _aliased(context: Context) -> dict[int, str]:
    from mlflow.exceptions import MlflowException

    try:
        return {version: alias for alias, version in Registry(context.settings).aliases().items()}
    except MlflowException as error:
        raise StoreError(
            f"The registry {context.settings.tracking_uri} does not tell which versions it names: {error}.",
            "Check that it runs, and `tracking_uri`; nothing has been removed.",
        ) from error


def _needed(
    context: Context, found: Survey, recorded: Mapping[str, Mapping[int, str]], limit: datetime, days: int | None
) -> dict[str, str]:
    store, staying = context.store, {}
    newest = sorted(found.runs.values(), key=lambda folder: folder.newest, reverse=True)
    for folder in newest:
        if folder.newest >= limit:
            staying[folder.name] = f"is younger than {days} days"
    for folder in newest[: context.settings.retention.keep_runs]:
        staying.setdefault(folder.name, "is one of the newest (retention.keep_runs)")
    staying |= dict(_made(found.versions, recorded))
    latest, _ = read_pointer(store)
    for run in found.runs.keys() - staying.keys():
        if waits_for_answer(store, run):
            staying[run] = "waits for a person's approval"
        elif latest is not None and _is_precedent(store, run, latest):
            staying[run] = f"is the last one like it on snapshot {latest}: without it, it would be trained again"
    return staying


def _made(versions: Iterable[Version], recorded: Mapping[str, Mapping[int, str]]) -> Iterator[tuple[str, str]]:
    """Runs of versions that stay; those on record last, also where a version's files are gone."""
    for version in versions:
        if version.stays and version.run is not None:
            yield version.run, f"made version {version.number}, which {version.stays}"
    for model, of_model in recorded.items():
        for number, run in of_model.items():
            yield run, f"made version {number} of {model}, which is on record"


def _is_precedent(store: Store, run: str, latest: str) -> bool:
    plan = find_json(store, layout.run_key(run, layout.PLAN))
    if plan is None or plan.get("snapshot_id") != latest or "identity" not in plan:
        return False
    named = find_json(store, layout.run_by_identity_key(plan["identity"]))
    return named is not None and layout.safe_run_id(named["run_id"]) == run


def _follow(store: Store, found: Survey) -> None:
    """Add the runs in which weights of those that stay were fitted before, and what all of them are made of."""
    waiting = [run for run in found.staying if run in found.runs]
    while waiting:
        keys = [(run, key) for run in waiting for key in _candidates(found.runs[run])]
        documents = map_ahead(lambda one: find_json(store, one[1]), keys, READERS, "candidates")
        waiting = []
        for (run, _), document in zip(keys, documents, strict=True):
            if document is None:
                continue
            if "fingerprint" in document:
                prefix = layout.features_prefix(document["variant"], document["fingerprint"])
                found.features.setdefault(prefix, run)
            for other in _rests_on(document):
                if other in found.runs and other not in found.staying:
                    found.staying[other] = f"weights of run {run}, which stays, were fitted in it"
                    waiting.append(other)


def _candidates(folder: Folder) -> Iterator[str]:
    return (info.key for info in folder.infos if info.key.endswith("/candidate.json"))


def _rests_on(document: Mapping[str, Any]) -> Iterator[str]:
    """The runs that a candidate's record names: of the head it started from, or of the members of an ensemble."""
    before = document.get("started_from")
    if before:
        yield layout.safe_run_id(before.rpartition("/")[0])
    for member in document.get("members", ()):
        yield layout.safe_run_id(member["run_id"])


def _planned(store: Store, found: Survey, now: datetime) -> None:
    """What runs that stay say of their feature maps; of one that has yet to say it, its variants."""
    for run in found.staying:
        folder = found.runs.get(run)
        if folder is None:
            continue
        if folder.has("features.json"):
            for variant, one in (find_json(store, folder.prefix + "features.json") or {}).items():
                found.features.setdefault(layout.features_prefix(variant, one["fingerprint"]), run)
        elif folder.has(layout.PLAN) and now - folder.newest < AT_WORK:
            plan = find_json(store, folder.prefix + layout.PLAN) or {}
            found.unplanned |= dict.fromkeys(plan.get("variants", ()), run)
