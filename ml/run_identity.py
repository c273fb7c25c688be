"""Whether a run would train the same heads and come to the same decision as an earlier one.

A run's identity is a digest of what decides that: the snapshot and what is left of it, variants, trials, the settings
that training and gate look at, and Quartet's code with the libraries beside it. Under its identity the store has the
run that the gate decided on last, one small object, however many runs there were.

Where a run puts its answers, who is told of them and how a winner is rolled out is no part of it. Neither is the
machine, whose arithmetic differs in the last bits, nor the champion: that one is looked at when the outcome is
(:func:`stands`), since a run that was promoted has changed the champion itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import ml
from ml import layout
from ml.storage import dump_json, find_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.config import Settings
    from ml.promotions import Change
    from ml.storage import Store

__all__ = ["Precedent", "find_precedent", "identity_of", "record_precedent", "stands"]

#: Sections that change no head and no decision of the gate. What is not named here counts.
INDIFFERENT = {
    "store",
    "split",
    "duplicates",
    "validation",
    "card",
    "review",
    "promotion",
    "serving",
    "monitoring",
    "retention",
    "alerts",
    "tracking_uri",
    "artifact_uri",
}
#: Of sections that count in part: how and in what pieces the work is done.
DETAILS = {
    "landing": {"attributes", "chunk_size", "delete_after_ingest"},
    "weights": {"mirror", "download", "timeout_seconds"},
    "features": {"batch_size", "shard_size", "part_size"},
    "train": {"checkpoint_seconds"},
}
LIBRARIES = ("tensorflow", "keras", "numpy", "scikit-learn", "pillow")


@dataclass(frozen=True)
class Precedent:
    """What an earlier run came to, as the gate decided.

    Attributes:
        run_id: the run.
        variant: its winner.
        cleared: whether the gate let it through.
        reason: the gate's.
        champion: the version that it was compared with; None before the first promotion.
        warm: whether its heads started from the champion's.
    """

    run_id: str
    variant: str
    cleared: bool
    reason: str
    champion: int | None
    warm: bool


def identity_of(settings: Settings, plan: Mapping[str, Any], samples: pd.DataFrame) -> str:
    """The SHA-256 of what decides a run's heads and its gate's decision.

    Args:
        settings: the run's own.
        plan: of it ``snapshot_id``, ``classes``, ``variants`` and ``trials``.
        samples: the run's images, without the forgotten ones.
    """
    counted = settings.model_dump(mode="json", exclude=INDIFFERENT | {"variants"})
    for section, details in DETAILS.items():
        counted[section] = {name: value for name, value in counted[section].items() if name not in details}
    document = {
        "plan": {name: plan[name] for name in ("snapshot_id", "classes", "variants", "trials")},
        "samples": hashlib.sha256(pd.util.hash_pandas_object(samples).to_numpy().tobytes()).hexdigest(),
        "settings": counted,
        "variants": {name: settings.variants[name].model_dump(mode="json") for name in plan["variants"]},
        "code": _code(),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def record_precedent(store: Store, identity: str, outcome: Precedent) -> None:
    """Keep what the gate decided on the newest run of an identity."""
    store.put(layout.run_by_identity_key(identity), dump_json(asdict(outcome)))


def find_precedent(store: Store, identity: str, run_id: str) -> Precedent | None:
    """What another run of the same identity came to; None where there was none, or its decision is gone."""
    document = find_json(store, layout.run_by_identity_key(identity))
    if document is None:
        return None
    found = Precedent(**document)
    if found.run_id == run_id or store.head(layout.run_key(found.run_id, layout.DECISION)) is None:
        return None
    return found


def stands(store: Store, precedent: Precedent, changes: Sequence[Change]) -> str | None:
    """Why a run like an earlier one would change nothing; None where it might.

    Either the earlier one's winner is the champion of today, and a tie with itself keeps it, or somebody went back from
    it, which the same weights do not answer, or the gate rejected it beside the champion of today. A winner that was
    cleared and does not serve, because nobody approved or it did not stand its trial, may serve after another run.

    Args:
        store: of the runs.
        precedent: the earlier one.
        changes: the record of what serves, the oldest first.
    """
    stable = changes[-1].serving.stable if changes else None
    published = _published(store, precedent.run_id)
    # With a warm start heads go on from the champion's: once that is their own, they are other heads.
    if published is not None and published == stable and not precedent.warm:
        return f"its winner {precedent.variant} serves as version {stable}"
    back = _went_back(changes, published)
    if back is not None and not precedent.warm:
        return f"{back.by} went back from its winner {precedent.variant}, version {published} ({back.reason})"
    if not precedent.cleared and precedent.champion == stable:
        return f"the gate rejected {precedent.variant}"
    return None


def _went_back(changes: Sequence[Change], version: int | None) -> Change | None:
    """The rollback that took a version out of production, where it has not come back since."""
    for change in reversed(changes):
        if change.action == "rollback" and change.evidence.get("from") == version:
            return change
        if change.action in ("promote", "rollback") and change.version == version:
            return None
    return None


def _published(store: Store, run_id: str) -> int | None:
    """As which version a run's winner was published, by the gate or by a person's own decision."""
    publication = find_json(store, layout.run_key(run_id, layout.PUBLICATION))
    return int(publication["version"]) if publication is not None else None


@cache
def _code() -> dict[str, str | None]:
    """Quartet's modules and the libraries that compute; a library that this machine lacks is None."""
    folder, digest = Path(ml.__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return {"quartet": digest.hexdigest(), **{name: _version(name) for name in LIBRARIES}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
