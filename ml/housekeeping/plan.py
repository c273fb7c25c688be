"""What is to be removed and what stays, with the reason of each. Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml import layout
from ml.housekeeping.items import UNSET, Folder, Item, fold, limit_of
from ml.housekeeping.survey import Survey, survey
from ml.releases import pending_objects
from ml.storage import find_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ml.context import Context

__all__ = ["CORRUPT", "Plan", "plan_removal"]

#: Below feature maps: shards that were moved aside because they went bad.
CORRUPT = "corrupt/"


@dataclass(frozen=True)
class Plan:
    """All that was looked at, in the order in which it is to be removed."""

    items: tuple[Item, ...]

    @property
    def going(self) -> tuple[Item, ...]:
        """What is to be removed."""
        return tuple(item for item in self.items if item.goes)

    @property
    def staying(self) -> tuple[Item, ...]:
        """What stays."""
        return tuple(item for item in self.items if not item.goes)


def plan_removal(context: Context, now: datetime) -> Plan:
    """Look at everything that ``retention`` is about.

    Args:
        context: settings and store.
        now: days are counted back from it.

    Raises:
        StoreError: the store does not answer, or the registry where versions might go.
        DataError: a record of what serves is damaged.
    """
    found = survey(context, now)
    items = [
        *_runs(context, found),
        *_versions(found),
        *_features(context, found, now),
        *_quarantine(context, now),
        *_arrivals(context, now),
        *_predictions(context, now),
    ]
    return Plan(tuple(items))


def _versions(found: Survey) -> Iterator[Item]:
    """Published ones go with their run, or after it."""
    for version in found.versions:
        stays = found.staying.get(version.run or "")
        goes, why = not version.stays, version.stays
        if not why and not version.folder.has(layout.SUMS):
            why = "was never published to its end"
        elif not why and version.run in found.runs:
            goes, why = not stays, f"belongs to run {version.run}, which {stays or 'goes'}"
        elif not why:
            why = "was never on trial or promoted, and its run is gone"
        yield Item.of("version", f"{version.model} {version.number}", version.folder, goes, why)


def _runs(context: Context, found: Survey) -> Iterator[Item]:
    days = context.settings.retention.run_days
    for run, folder in found.runs.items():
        stays = found.staying.get(run)
        versions = tuple(one.number for one in found.versions if one.run == run and not one.stays)
        why = stays or f"is older than {days} days, and nothing needs it"
        yield Item.of("run", run, folder, not stays, why, () if stays else versions)


def _features(context: Context, found: Survey, now: datetime) -> Iterator[Item]:
    days = context.settings.retention.feature_days
    limit = limit_of(days, now)
    folders = [folder for folder in fold(context.store, layout.FEATURES, 2) if folder.prefix.endswith("/")]
    newest: dict[str, Folder] = {}
    for folder in folders:
        variant = folder.prefix.split("/")[1]
        if variant not in newest or folder.newest > newest[variant].newest:
            newest[variant] = folder
    for folder in folders:
        variant = folder.prefix.split("/")[1]
        name = f"{variant}/{folder.name}"
        why = ""
        if limit is None:
            why = UNSET.format("feature_days")
        elif folder.newest >= limit:
            why = f"are younger than {days} days"
        elif folder.prefix in found.features:
            why = f"are what run {found.features[folder.prefix]} was made of"
        elif variant in found.unplanned:
            why = f"may be wanted by run {found.unplanned[variant]}, which has just begun"
        elif newest[variant] is folder and variant in context.settings.variants:
            why = f"are the newest of {variant}"
        yield Item.of("features", name, folder, not why, why or f"are older than {days} days, and no run needs them")
        aside = tuple(info for info in folder.infos if info.key.startswith(folder.prefix + CORRUPT))
        if why and aside and limit is not None and max(info.last_modified for info in aside) < limit:
            bad = Folder(folder.prefix + CORRUPT, aside)
            yield Item.of("features", f"{name}/corrupt", bad, True, f"went bad, and are older than {days} days")


def _quarantine(context: Context, now: datetime) -> Iterator[Item]:
    store, days = context.store, context.settings.retention.quarantine_days
    limit = limit_of(days, now)
    released = pending_objects(store)
    for folder in fold(store, layout.QUARANTINE, 2):
        if not folder.has("object"):
            continue
        objects = Folder(f"{folder.prefix}object", tuple(one for one in folder.infos if one.key.endswith("/object")))
        why = ""
        if limit is None:
            why = UNSET.format("quarantine_days")
        elif _said(folder).newest >= limit:
            why = f"is younger than {days} days"
        elif objects.prefix in released:
            why = "is released, and the next ingest takes it in"
        name = folder.prefix.removeprefix(layout.QUARANTINE).rstrip("/")
        yield Item.of("quarantine", name, objects, not why, why or f"is older than {days} days")


def _said(folder: Folder) -> Folder:
    """A folder without the word that its bytes are removed, which a removal that was killed may have left."""
    return Folder(folder.prefix, tuple(one for one in folder.infos if not one.key.endswith(layout.BYTES_REMOVED)))


def _arrivals(context: Context, now: datetime) -> Iterator[Item]:
    """Notes of ingests first, then what they name."""
    store, days = context.store, context.settings.retention.arrival_days
    limit = limit_of(days, now)
    old = f"is older than {days} days"
    named: dict[str, str] = {}
    for plan in fold(store, layout.INGEST_PLANS):
        goes = limit is not None and plan.newest < limit
        yield Item.of("arrivals", plan.name, plan, goes, old if goes else _kept(days))
        if not goes:
            document = find_json(store, plan.prefix) or {}
            wanted = [f"{layout.ARRIVALS}{chunk}/" for chunk in document.get("chunks", ())]
            named |= dict.fromkeys([*wanted, str(document.get("attributes"))], plan.name)
    others = [*fold(store, layout.ARRIVALS), *fold(store, layout.ATTRIBUTES)]
    for folder in others:
        if folder.prefix in (layout.SEEN, layout.TOLD, layout.INGEST_PLANS, layout.ATTRIBUTES):
            continue
        goes = limit is not None and folder.newest < limit and folder.prefix not in named
        stays = f"is named by {named[folder.prefix]}, which stays" if folder.prefix in named else _kept(days)
        yield Item.of("arrivals", folder.name, folder, goes, old if goes else stays)


def _kept(days: int | None) -> str:
    return UNSET.format("arrival_days") if days is None else f"is younger than {days} days"


def _predictions(context: Context, now: datetime) -> Iterator[Item]:
    days = context.settings.retention.prediction_days
    limit = limit_of(days, now)
    for folder in fold(context.store, layout.PREDICTIONS):
        goes = limit is not None and folder.newest < limit
        young = UNSET.format("prediction_days") if days is None else f"is younger than {days} days"
        yield Item.of("predictions", folder.name, folder, goes, f"is older than {days} days" if goes else young)
