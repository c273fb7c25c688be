"""Where things lie in the object store: the one place that spells keys."""

from __future__ import annotations

import hashlib
import re

__all__ = [
    "ABLATION_ENDING",
    "ALERTS",
    "ARRIVALS",
    "APPROVAL",
    "ATTRIBUTES",
    "ATTRIBUTES_FILE",
    "BYTES_REMOVED",
    "CANARY",
    "CHAMPION_PREDICTIONS",
    "DECISION",
    "ENSEMBLE",
    "FEATURES",
    "FORGOTTEN",
    "HOUSEKEEPING",
    "IMAGES",
    "INFRA_VALIDATION",
    "INGEST_PLANS",
    "LABELS_FILE",
    "LANDING",
    "LATEST_SNAPSHOT",
    "MONITORING",
    "ORDER",
    "PACKS",
    "PAGE_IMAGES",
    "PLAN",
    "PREDICTIONS",
    "MODELS",
    "MODEL_CARD",
    "PROMOTIONS",
    "PSEUDONYM_KEY",
    "PUBLICATION",
    "QUARANTINE",
    "RELEASES",
    "REQUESTS",
    "REMOVED_RUNS",
    "RUNS",
    "RUNS_BY_IDENTITY",
    "RUN_SUMMARIES",
    "SEEN",
    "SERVING_FACTS",
    "SERVING_LABELS",
    "SNAPSHOTS",
    "SNAPSHOT_SUMMARIES",
    "SUMS",
    "TOLD",
    "WARMUP",
    "WATCH",
    "ablation_name",
    "alert_key",
    "arrivals_key",
    "attributes_key",
    "calibration_key",
    "features_prefix",
    "housekeeping_key",
    "image_key",
    "ingest_key",
    "model_prefix",
    "monitoring_key",
    "pack_key",
    "part_key",
    "predictions_key",
    "printable",
    "promotion_key",
    "quarantine_keys",
    "release_key",
    "run_by_identity_key",
    "removed_run_key",
    "request_image_key",
    "request_part_key",
    "request_parts",
    "run_key",
    "run_prefix",
    "run_summary_key",
    "safe_run_id",
    "snapshot_key",
    "snapshot_summary_key",
    "tombstone_key",
]

LANDING = "landing/"
#: Below the landing zone: labels and groups of objects whose folders do not say them.
LABELS_FILE = "labels.csv"
#: What the newest ingest saw in the landing zone, and what was last told to be new there.
SEEN = "arrivals/seen"
TOLD = "arrivals/told.json"
IMAGES = "images/"
QUARANTINE = "quarantine/"
#: Beside the records of a refused object: that its bytes were removed because their time was up.
BYTES_REMOVED = "removed.json"
RELEASES = "releases/"
#: Tombstones: digests of pictures that are never to be taken in again.
FORGOTTEN = "forgotten/"
SNAPSHOTS = "snapshots/"
#: What the tables ``labels.csv`` of ingests say of objects, as far as it is to be kept.
ATTRIBUTES = "arrivals/attributes/"
#: In a snapshot's folder: what is known of its images beside the manifest.
ATTRIBUTES_FILE = "attributes.parquet"
FEATURES = "features/"
RUNS = "runs/"
RUNS_BY_IDENTITY = "runs-by-identity/"
MODELS = "models/"
ARRIVALS = "arrivals/"
INGEST_PLANS = "arrivals/plans/"
PROMOTIONS = "promotions/"
#: What the Models page shows of each run and each snapshot, and copies of small records in one object, for whoever
#: reads all of them.
RUN_SUMMARIES = "summaries/runs/"
SNAPSHOT_SUMMARIES = "summaries/snapshots/"
#: Which runs were removed because their time was up.
REMOVED_RUNS = "summaries/removed-runs/"
PACKS = "packs/"
#: What a run of `housekeeping` found to remove, and what became of it.
HOUSEKEEPING = "housekeeping/"
#: Batches of predictions, a folder each.
PREDICTIONS = "predictions/"
#: What is kept of requests, for whoever asks for it, and what was found about them.
REQUESTS = "requests/"
MONITORING = "monitoring/"
#: What was told of a cause and when, so that the same is not told again at once.
ALERTS = "alerts/"
LATEST_SNAPSHOT = "snapshots/latest.json"
#: Within a published version, the last object that is written: lines of ``<sha256>  <path>``, as sha256sum has them.
SUMS = "SHA256SUMS"
#: Within a published version: what a model server runs before it serves it.
WARMUP = "assets.extra/tf_serving_warmup_requests"
#: Beside it: what the model is, and its labels in the order of its outputs, one a line.
SERVING_FACTS = "assets.extra/serving.json"
SERVING_LABELS = "assets.extra/labels.txt"
#: The secret that turns patients and groups into pseudonyms.
PSEUDONYM_KEY = "pseudonyms/key"
#: Name of the ensemble among a run's candidates.
ENSEMBLE = "ensemble"
ABLATION_ENDING = "-no-attention"
#: In a run's folder: what it was asked for, and what it trains on.
PLAN = "plan.json"
#: In a run's folder: which images its page shows beside those of the candidates' own pictures.
PAGE_IMAGES = "report.json"
#: In a run's folder: the gate's decision, and what a person said to it.
DECISION = "decision.json"
APPROVAL = "approval.json"
#: In a run's folder: a person's own decision to promote its winner later on.
ORDER = "order.json"
#: In a run's folder: as which version its winner was published, how it did beside the champion, and after the swap.
PUBLICATION = "publication.json"
CANARY = "canary.json"
WATCH = "watch.json"
#: Beside a published model, in `assets.extra`: what a fresh server was measured to do with it.
INFRA_VALIDATION = "infra_validation.json"
#: Beside a published model, in `assets.extra`, and among its run's artefacts.
MODEL_CARD = "model_card.md"
#: In a run's folder: what the champion of that time answered for the run's test images.
CHAMPION_PREDICTIONS = "champion.parquet"


def image_key(image_id: str, ending: str) -> str:
    """Key of an accepted image's bytes."""
    return f"{IMAGES}{image_id[:2]}/{image_id}.{ending}"


def arrivals_key(chunk: str, name: str) -> str:
    """Key of a file about a chunk of objects that are being taken in, e.g. ``rows.parquet``."""
    return f"arrivals/{chunk}/{name}"


def ingest_key(ingest_id: str) -> str:
    """Key of what one ingest found to do."""
    return f"{INGEST_PLANS}{safe_run_id(ingest_id)}.json"


def attributes_key(digest: str) -> str:
    """Key of the attributes that an ingest found in ``labels.csv``, given the table's SHA-256."""
    return f"{ATTRIBUTES}{digest}.parquet"


def release_key(release_id: str) -> str:
    """Key of the record of a release from quarantine."""
    return f"{RELEASES}{release_id}.json"


def tombstone_key(digest: str) -> str:
    """Key of the tombstone of a forgotten picture's bytes or pixels, given their SHA-256."""
    return f"{FORGOTTEN}{digest}.json"


def printable(key: str) -> str:
    """A listed key as tables and messages can hold it: what is no UTF-8 is written as ``\\udcff``."""
    return key if key.isascii() else key.encode("utf-8", "backslashreplace").decode()


def quarantine_keys(reason: str, sha256: str, source_key: str) -> tuple[str, str]:
    """Keys of a refused object's bytes, and of the record of one source key that held them."""
    prefix = f"{QUARANTINE}{reason}/{sha256}"
    return f"{prefix}/object", f"{prefix}/{hashlib.sha256(source_key.encode()).hexdigest()[:16]}.json"


def snapshot_key(snapshot_id: str, name: str) -> str:
    """Key of a file of a snapshot, e.g. ``manifest.parquet``."""
    return f"snapshots/{snapshot_id}/{name}"


def features_prefix(variant: str, fingerprint: str) -> str:
    """Prefix of a variant's cached feature maps."""
    return f"features/{variant}/{fingerprint}/"


def calibration_key(variant: str, fingerprint: str, name: str) -> str:
    """Key of what was measured about a variant's backbone, e.g. ``precision.json``."""
    return f"calibrations/{variant}/{fingerprint}/{name}"


def part_key(run_id: str, part: str, name: str) -> str:
    """Key of a file about one part of what a run extracts."""
    return run_key(run_id, "parts", part, name)


def predictions_key(batch_id: str, name: str) -> str:
    """Key of a file of a batch of predictions, e.g. ``batch.json``."""
    return f"{PREDICTIONS}{safe_run_id(batch_id)}/{name}"


def safe_run_id(run_id: str) -> str:
    """A run id as part of a key: Airflow's carry colons and plus signs."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run_id).strip(".-") or "run"


def run_prefix(run_id: str) -> str:
    """Prefix of everything a run writes."""
    return f"runs/{safe_run_id(run_id)}/"


def run_key(run_id: str, *parts: str) -> str:
    """Key of a file of a run, e.g. ``run_key(run_id, "vgg16", "metrics.json")``."""
    return run_prefix(run_id) + "/".join(parts)


def run_by_identity_key(identity: str) -> str:
    """Key of which run with such an identity the gate decided on last (:mod:`ml.run_identity`)."""
    return f"{RUNS_BY_IDENTITY}{identity}.json"


def alert_key(digest: str) -> str:
    """Key of what was told of one cause, given the cause's SHA-256."""
    return f"{ALERTS}{digest}.json"


def ablation_name(variant: str) -> str:
    """Name, among a run's candidates, of the variant's head without attention."""
    return variant + ABLATION_ENDING


def model_prefix(model_name: str, version: int) -> str:
    """Prefix of a published version."""
    return f"{MODELS}{model_name}/{version}/"


def promotion_key(model_name: str, number: int) -> str:
    """Key of one record of what serves."""
    return f"{PROMOTIONS}{model_name}/{number:08d}.json"


def run_summary_key(model_name: str, run_id: str) -> str:
    """Key of what the Models page shows of a run; without a run, the prefix of all."""
    return f"{RUN_SUMMARIES}{model_name}/" + (f"{safe_run_id(run_id)}.json" if run_id else "")


def removed_run_key(run_id: str) -> str:
    """Key of the record that a run was removed because its time was up."""
    return f"{REMOVED_RUNS}{safe_run_id(run_id)}.json"


def housekeeping_key(housekeeping_id: str, name: str) -> str:
    """Key of a file about one run of `housekeeping`, e.g. ``report.json``."""
    return f"{HOUSEKEEPING}{safe_run_id(housekeeping_id)}/{name}"


def snapshot_summary_key(snapshot_id: str) -> str:
    """Key of what the Models page shows of a snapshot."""
    return f"{SNAPSHOT_SUMMARIES}{snapshot_id}.json"


def pack_key(prefix: str) -> str:
    """Key of the copies of the records below a prefix, e.g. ``summaries/snapshots/``."""
    return f"{PACKS}{prefix.rstrip('/')}.json"


def request_parts(model_name: str, date: str) -> str:
    """Prefix of the rows about requests of one day, e.g. ``2026-03-01``."""
    return f"{REQUESTS}{model_name}/{date}/"


def request_part_key(model_name: str, date: str, hour: int, name: str) -> str:
    """Key of some rows about requests; the first of them was answered in that hour, in UTC."""
    return f"{request_parts(model_name, date)}{hour:02d}-{name}.parquet"


def request_image_key(model_name: str, image_id: str) -> str:
    """Key of an image that was asked about and kept; without one, the prefix of all."""
    return f"{REQUESTS}{model_name}/images/" + (f"{image_id[:2]}/{image_id}" if image_id else "")


def monitoring_key(model_name: str, *parts: str) -> str:
    """Key of a file about what was found, e.g. ``monitoring_key(model_name, monitor_id, "report.json")``."""
    return f"{MONITORING}{model_name}/" + "/".join(parts)
