"""Task ``review_labels``: the labels that people should look at again. None is changed, no image is left out."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.attributes import newest_rows
from ml.candidates import load_candidate
from ml.features import FeatureReader
from ml.label_issues import LabelReview, review_labels
from ml.label_report import REVIEW
from ml.plan import load_plan, load_samples
from ml.snapshots import Snapshot
from ml.spreadsheets import spreadsheet
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ml.candidates import Candidate
    from ml.context import Context
    from ml.label_issues import LabelIssue

__all__ = ["LIST", "run"]

log = logging.getLogger(__name__)

#: In a run's folder: the list for people, a row for each key of a doubtful image.
LIST = "label_issues.csv"
COLUMNS = ("key", "label", "suggested", "label_probability", "suggested_probability", "image_id", "split")
OFF = "review.label_issues_shown is 0"


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Look for doubtful labels among all images of an evaluated run, by the feature maps of its winner.

    Returns:
        ``run_id``, ``issues`` (how many), ``images`` (that were looked at), ``list`` (URI of the table, None where
        nothing was looked at) and ``reason`` (why nothing was, else None).
    """
    store, plan = context.store, load_plan(context.store, run_id)
    chosen = read_json(store, layout.run_key(run_id, "evaluation.json"))["chosen"]
    lead = load_candidate(store, run_id, chosen).lead
    review = _look(context, lead, run_id, plan["classes"])
    key = layout.run_key(run_id, LIST)
    if review.reason:
        # An earlier try may have looked.
        store.delete(key)
        log.info("run %s: no labels were looked at: %s", run_id, review.reason)
    else:
        store.put(key, spreadsheet(COLUMNS, _rows(Snapshot(store, plan["snapshot_id"]), review.issues)))
        log.info("run %s: %d of %d labels are doubtful: %s", run_id, len(review.issues), review.images, store.uri(key))
    store.put(layout.run_key(run_id, REVIEW), dump_json(_document(context, lead, review) | {"run_id": run_id}))
    return {
        "run_id": run_id,
        "issues": len(review.issues),
        "images": review.images,
        "list": None if review.reason else store.uri(key),
        "reason": review.reason,
    }


def _look(context: Context, lead: Candidate, run_id: str, classes: Sequence[str]) -> LabelReview:
    if not context.settings.review.label_issues_shown:
        return LabelReview(reason=OFF)
    reader = FeatureReader(context.store, lead.features, context.settings.store.cache_dir)
    return review_labels(reader, load_samples(context.store, run_id), classes, context.settings.train.seed)


def _rows(snapshot: Snapshot, issues: Sequence[LabelIssue]) -> Iterator[tuple[str, ...]]:
    """A row for each key: a picture that lies under several is corrected under all of them or refused."""
    keys = _keys(snapshot, [issue.image_id for issue in issues])
    for issue in issues:
        # None where all its keys hold other pictures by now.
        chances = (f"{value:.4f}" for value in (issue.label_probability, issue.suggested_probability))
        rest = (issue.label, issue.suggested, *chances, issue.image_id, issue.split)
        yield from ((key, *rest) for key in keys.get(issue.image_id, ("",)))


def _keys(snapshot: Snapshot, image_ids: Sequence[str]) -> dict[str, list[str]]:
    """By image id: below the landing zone, sorted; the ledger has them as they can be printed."""
    manifest = snapshot.manifest[["image_id", "pixel_id"]]
    pixels = manifest[manifest["image_id"].isin(image_ids)]
    ledger = newest_rows(snapshot.ledger_columns(["source_key", "etag", "ingested_at", "reason", "pixel_id"]))
    held = ledger[ledger["reason"].isna() & ledger["pixel_id"].isin(pixels["pixel_id"])].merge(pixels, on="pixel_id")
    names = held["source_key"].str.removeprefix(layout.LANDING)
    return {str(image_id): sorted(set(some)) for image_id, some in names.groupby(held["image_id"])}


def _document(context: Context, lead: Candidate, review: LabelReview) -> dict[str, Any]:
    """The review with the first issues; ``shown`` are the images whose pictures the run's page shows."""
    first = review.issues[: context.settings.review.label_issues_shown]
    return {
        "method": "confident learning on out-of-fold logistic regression of mean-pooled feature maps",
        "cleanlab": version("cleanlab"),
        "variant": lead.variant,
        "features": lead.features,
        "weights": lead.settings["weights"]["source"],
        "seed": context.settings.train.seed,
        "folds": review.folds,
        "images": review.images,
        "missing": review.missing,
        "unjudged": review.unjudged,
        "count": len(review.issues),
        "reason": review.reason,
        "shown": [issue.image_id for issue in first],
        "issues": [issue._asdict() for issue in first],
    }
