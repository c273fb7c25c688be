"""What every DAG is to be, written out: a DAG without an entry here fails its tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

__all__ = ["EXPECTED", "Dag", "Task"]

LONGEST_WAIT = timedelta(hours=168)


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        name: what people see.
        after: the tasks that follow.
        group: the stage it stands in.
        links: names of its buttons.
        outlets: assets that it publishes.
        mapped: the argument that it is mapped over.
        label: how one of the mapped ones is called.
    """

    name: str
    after: set[str] = field(default_factory=set)
    group: str | None = None
    links: list[str] = field(default_factory=list)
    outlets: list[str] = field(default_factory=list)
    mapped: str | None = None
    label: str | None = None
    pool: str = "default_pool"
    queue: str = "default"
    trigger_rule: str = "all_success"
    timeout: timedelta = timedelta(hours=2)
    at_once: int | None = None


@dataclass(frozen=True)
class Dag:
    """A DAG; ``groups`` are the titles of its stages, by id."""

    name: str
    tags: set[str]
    timeout: timedelta
    tasks: dict[str, Task]
    groups: dict[str, str] = field(default_factory=dict)


RUN, SNAPSHOT, DOCS, MONITOR, HOUSEKEEPING_PAGE, MLFLOW, MODELS = (
    "Run's page",
    "Snapshot's page",
    "Data Docs",
    "Monitor's page",
    "Housekeeping's page",
    "MLflow run",
    "Models",
)
GPU = {"pool": "gpu", "queue": "gpu"}
BY_VARIANT = {"mapped": "variant", "label": "{{ task.op_kwargs['variant'] }}"}
LOOK = {"after": {"report"}, "group": "looks", "timeout": timedelta(minutes=30)}

INGEST_IMAGES = Dag(
    "Ingest images",
    {"quartet", "data"},
    timedelta(hours=6),
    {
        "list_arrivals": Task("List what is new", {"take_in"}, "arrivals"),
        "take_in": Task(
            "Take objects in",
            {"assemble"},
            "arrivals",
            mapped="chunk",
            label="chunk {{ ti.map_index + 1 }}: {{ task.op_kwargs['chunk'][:12] }}",
        ),
        "assemble": Task("Assemble the snapshot", {"anything_new"}, "snapshot_and_quality", trigger_rule="none_failed"),
        "anything_new": Task("Anything new?", {"describe"}, "snapshot_and_quality"),
        "describe": Task("Draw the snapshot", {"validate"}, "snapshot_and_quality"),
        "validate": Task("Validate", {"publish_snapshot"}, "snapshot_and_quality", [SNAPSHOT, DOCS]),
        "publish_snapshot": Task(
            "Publish the snapshot", {"clear_landing"}, "snapshot_and_quality", [SNAPSHOT, DOCS], ["snapshot"]
        ),
        "clear_landing": Task("Clear the landing zone"),
    },
    {"arrivals": "What arrived", "snapshot_and_quality": "Snapshot and quality"},
)

RETRAIN = Dag(
    "Retrain",
    {"quartet", "training"},
    timedelta(hours=12) + LONGEST_WAIT,
    {
        "split": Task("Lay down the plan", {"anything_changed", "tune", "train"}, "features"),
        "anything_changed": Task("Has anything changed?", {"list_missing"}, "features"),
        "list_missing": Task("Find what is not cached", {"extract"}, "features", **GPU),
        "extract": Task(
            "Extract feature maps",
            {"tune"},
            "features",
            mapped="part",
            label="{{ task.op_kwargs['part'] }}",
            **GPU,
        ),
        "tune": Task("Search hyper-parameters", {"train"}, "training", trigger_rule="none_failed", **BY_VARIANT, **GPU),
        "train": Task(
            "Train the head",
            {"evaluate"},
            "training",
            [RUN, MLFLOW],
            trigger_rule="none_failed",
            **BY_VARIANT,
            **GPU,
        ),
        "evaluate": Task(
            "Measure candidates and champion", {"examine", "review_labels"}, "evaluation", [RUN, MLFLOW], **GPU
        ),
        "examine": Task("Examine the winner", {"gate"}, "evaluation", [RUN], **GPU),
        "gate": Task("Gate: apply the rules", {"approve"}, "evaluation", [RUN]),
        "approve": Task("Approval by a person", {"publish"}, "evaluation", [RUN]),
        # Where the maps lie; it takes no accelerator.
        "review_labels": Task("Find doubtful labels", {"report"}, "evaluation", [RUN], queue="gpu"),
        "publish": Task("Publish the winner", {"canary"}, "promotion", [RUN, MODELS], **GPU),
        "canary": Task("Canary beside the champion", {"promote"}, "promotion", [RUN, MODELS]),
        "promote": Task("Promote to champion", {"watch"}, "promotion", [RUN, MODELS], ["champion"]),
        "watch": Task("Watch the new champion", {"report"}, "promotion", [RUN, MODELS]),
        # For a rejected run, too.
        "report": Task("Write the run's page", links=[RUN, MODELS], trigger_rule="none_failed"),
    },
    {
        "features": "Images and feature maps",
        "training": "Training",
        "evaluation": "Evaluation and gate",
        "promotion": "Promotion",
    },
)

BATCH_PREDICT = Dag(
    "Batch predict",
    {"quartet", "serving"},
    timedelta(hours=24),
    {
        "plan_predictions": Task("Plan the batch", {"predict_shard"}, links=[MODELS]),
        "predict_shard": Task(
            "Ask about a shard",
            {"publish_predictions"},
            mapped="shard",
            label="shard {{ task.op_kwargs['shard'] }}",
            at_once=2,
        ),
        "publish_predictions": Task("Publish the answers", outlets=["predictions"]),
    },
)

MONITORING = Dag(
    "Monitor",
    {"quartet", "serving"},
    timedelta(hours=2),
    {
        "check_serving": Task("What serves?", links=[MODELS], **LOOK),
        "measure_traffic": Task("Errors and latency", **LOOK),
        "measure_drift": Task("Drift", **LOOK),
        "report": Task("Page and alert", {"retrain"}, links=[MONITOR], timeout=timedelta(minutes=30)),
        "retrain": Task("Start Retrain", timeout=timedelta(minutes=30)),
    },
    {"looks": "Looks"},
)

ROLLBACK = Dag(
    "Roll back",
    {"quartet", "serving"},
    timedelta(hours=1),
    {
        "roll_back": Task("Go back", {"confirm"}, links=[MODELS], outlets=["champion"]),
        "confirm": Task("See that it serves", links=[MODELS]),
    },
)

PROMOTE = Dag(
    "Promote",
    {"quartet", "serving"},
    timedelta(hours=12),
    {
        "order": Task("Keep the decision", {"publish", "canary", "promote", "watch", "report"}),
        "publish": Task("Publish the winner", {"canary"}, links=[RUN, MODELS], **GPU),
        "canary": Task("Canary beside the champion", {"promote"}, links=[RUN, MODELS]),
        "promote": Task("Promote to champion", {"watch"}, links=[RUN, MODELS], outlets=["champion"]),
        "watch": Task("Watch the new champion", {"report"}, links=[RUN, MODELS]),
        "report": Task("Write the run's page anew", links=[RUN, MODELS], trigger_rule="none_failed"),
    },
)

HOUSEKEEPING = Dag(
    "Housekeeping",
    {"quartet", "data"},
    timedelta(hours=12),
    {
        "plan_housekeeping": Task("Find what may go", {"clean"}, links=[HOUSEKEEPING_PAGE], timeout=timedelta(hours=6)),
        "clean": Task("Remove it", links=[HOUSEKEEPING_PAGE], timeout=timedelta(hours=6)),
    },
)

EXPECTED = {
    "ingest_images": INGEST_IMAGES,
    "retrain": RETRAIN,
    "batch_predict": BATCH_PREDICT,
    "monitor": MONITORING,
    "promote": PROMOTE,
    "rollback": ROLLBACK,
    "housekeeping": HOUSEKEEPING,
}
