"""An alert of each kind, with what a run of each DAG would say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ml.alerting import (
    Alert,
    Link,
    RunReference,
    approval_alert,
    canary_alert,
    deadline_alert,
    describe_failure,
    failure_alert,
    monitoring_alert,
    promotion_alert,
    quality_alert,
    refusal_alert,
    rejection_alert,
    rollback_alert,
    taken_back_alert,
    trial_alert,
    unanswered_alert,
)
from ml.errors import ValidationFailedError
from ml.promoted import Promoted
from ml.promotions import Change
from ml.serving_state import ServingState

__all__ = ["AT", "BASE", "SAMPLES"]

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BASE = "https://airflow.example.org"
SNAPSHOT = "000004-2f4781f7fc8e"
LEARNED = "asset_triggered__2026-01-02T00:00:00+00:00_Q7"
STORE = "s3://quartet"


def run_of(dag_id: str, task_id: str | None, run_id: str = "manual__2026-01-02T03:00:00+00:00") -> RunReference:
    return RunReference(dag_id, run_id, task_id, try_number=1 if task_id else 0)


def at_page(name: str, path: str) -> Link:
    return Link(name, f"{BASE}/{path}")


RUN_PAGES = (
    at_page("page of the run", "quartet/runs/asset_triggered__2026-01-02T00-00-00-00-00_Q7/report.html"),
    Link("page in the store", f"{STORE}/runs/asset_triggered__2026-01-02T00-00-00-00-00_Q7/report.html"),
)
SERVING_PAGES = (at_page("Models page", "plugin/models"), RUN_PAGES[0])
SNAPSHOT_PAGE = at_page("page of the snapshot", f"quartet/snapshots/{SNAPSHOT}/report/index.html")
REPORT = f"{STORE}/snapshots/{SNAPSHOT}/report/index.html"


def rule(name: str, measured: str, required: str, missing: str = "") -> dict[str, object]:
    return {"name": name, "measured": measured, "required": required, "missing": missing, "passed": not missing}


def check(name: str, measured: str, required: str) -> dict[str, object]:
    return {"name": name, "measured": measured, "required": required, "passed": False}


REJECTED = [
    rule("macro F1", "0.8712", "at least 0.9", "0.0288 short"),
    rule("recall of the weakest class, glioma", "0.8095", "at least 0.85", "1 more of its 21 images to be found"),
    rule("latency, p95", "41 ms", "at most 60 ms"),
]
REASON = (
    "Rejected: macro F1: 0.8712, required at least 0.9 (0.0288 short); recall of the weakest class, glioma: 0.8095, "
    "required at least 0.85 (1 more of its 21 images to be found)."
)
REFUSED = ValidationFailedError(
    f"Snapshot {SNAPSHOT} does not meet 2 critical expectation(s): …",
    f"See {REPORT}; add or mend images in the landing zone, or change `validation` or `classes`.",
    facts={
        "snapshot": SNAPSHOT,
        "Images of each class: at least 50": "2 of 4 outside: glioma has 10, pituitary has 12",
        "Labels: one of the classes": "3 of 5,712 outside (0.0525 %): 1f0c…e2 has gliom; 77ab…10 has gliom; …",
    },
    links={"report": REPORT},
)


def promoted() -> Promoted:
    change = Change(
        number=7,
        action="promote",
        version=4,
        serving=ServingState().promote(4),
        run_id=LEARNED,
        variant="vgg16",
        snapshot_id=SNAPSHOT,
        by="Alice",
        reason="Cleared: macro F1: 0.9312, required at least 0.9; better than the champion: 99.2 %, required at least "
        "95 %.",
        at=(AT - timedelta(seconds=20)).isoformat(),
    )
    return Promoted(
        change,
        macro_f1="0.9312 (95 % interval 0.9105 to 0.9490)",
        before="version 3, mobilenet: macro F1 0.9101 (95 % interval 0.8870 to 0.9302); difference +0.0211 (95 % "
        "interval +0.0040 to +0.0385), on 1,143 test images that version 3 was not trained on",
        has_before=True,
        decided_by="Approved by Alice (id 3) on 2026-01-02 at 03:02 UTC.",
    )


#: By the name of what makes it.
SAMPLES: dict[str, Alert] = {
    "failure_alert": failure_alert(
        "task_failure",
        describe_failure(ConnectionError("The object store at http://minio:9000 does not answer.")),
        (),
        run_of("batch_predict", "predict_shard"),
        ["predict_shard_2"],
        BASE,
        AT,
    ),
    "refusal_alert": refusal_alert(
        describe_failure(REFUSED), [SNAPSHOT_PAGE], run_of("ingest_images", "validate"), [], BASE, AT
    ),
    "quality_alert": quality_alert(
        {
            "snapshot_id": SNAPSHOT,
            "warnings": ["Share of a class: at most 60 %", "Contrast: at least 2"],
            "observed": ["1 of 4 outside: notumor has 71 %", "12 of 5,712 outside (0.21 %): 77ab…10 has 1.2; …"],
            "report": REPORT,
        },
        [SNAPSHOT_PAGE],
        run_of("ingest_images", "validate"),
        BASE,
        AT,
    ),
    "rejection_alert": rejection_alert(
        {"variant": "vgg16", "reason": REASON, "rules": REJECTED}, RUN_PAGES, run_of("retrain", "gate"), BASE, AT
    ),
    "approval_alert": approval_alert(
        {"variant": "vgg16", "rules": [rule("macro F1", "0.9312", "at least 0.9")]},
        AT + timedelta(hours=24),
        RUN_PAGES,
        run_of("retrain", "approve"),
        BASE,
        AT,
    ),
    "unanswered_alert": unanswered_alert(
        "Rejected on 2026-01-02 at 03:04 UTC: nobody answered in time.",
        RUN_PAGES,
        run_of("retrain", "approve"),
        BASE,
        AT,
    ),
    "promotion_alert": promotion_alert(promoted(), SERVING_PAGES, run_of("retrain", "promote", LEARNED), BASE, AT),
    "canary_alert": canary_alert(
        {
            "version": 4,
            "reason": "Not kept: errors: 3 of 40 (timed out), required none.",
            "checks": [check("errors", "3 of 40 (timed out)", "none"), check("latency, p95", "210 ms", "90 ms")],
        },
        SERVING_PAGES,
        run_of("retrain", "canary"),
        BASE,
        AT,
    ),
    "taken_back_alert": taken_back_alert(
        {
            "version": 4,
            "rolled_back_to": 3,
            "reason": "Not kept: errors: 6 of 80, required at most 1 %.",
            "checks": [check("errors", "6 of 80", "at most 1 %")],
        },
        SERVING_PAGES,
        run_of("retrain", "watch"),
        BASE,
        AT,
    ),
    "rollback_alert": rollback_alert(
        {"action": "rollback", "version": 3, "from": 4, "by": "Alice", "reason": "worse on images of site B"},
        SERVING_PAGES[:1],
        run_of("rollback", "roll_back"),
        BASE,
        AT,
    ),
    "monitoring_alert": monitoring_alert(
        {
            "model_name": "classifier",
            "beyond": [
                {"topic": "Traffic", "name": "errors", "measured": "2.1 %", "required": "max 1 %", "critical": True},
                {
                    "topic": "Drift",
                    "name": "brightness",
                    "measured": "0.341",
                    "required": "at most 0.2",
                    "critical": False,
                },
            ],
            "retraining": "Retrain is started, once for version 4.",
            "page": f"{STORE}/monitoring/classifier/scheduled__2026/report.html",
        },
        [at_page("page of the look", "quartet/monitoring/scheduled__2026/report.html")],
        run_of("monitor", "report"),
        BASE,
        AT,
    ),
    "deadline_alert": deadline_alert(
        run_of("retrain", None), "running", "2026-01-01T15:00:00Z", "2026-01-02T03:00:00Z", None, BASE, AT
    ),
    "trial_alert": trial_alert(BASE, AT),
}
