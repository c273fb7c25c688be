"""Every metric that the exporter may expose: its type, its labels and what it says."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["BY_NAME", "FAMILIES", "Family", "Sample"]


class Family(NamedTuple):
    """A metric.

    Attributes:
        name: as it is exposed, with ``_total`` where it is a counter.
        kind: Prometheus's type; what says something in its labels only is a gauge that is always 1.
        text: what it says, in a sentence.
        labels: their names, in the order in which a sample gives values.
    """

    name: str
    kind: Literal["gauge", "counter"]
    text: str
    labels: tuple[str, ...] = ()


class Sample(NamedTuple):
    """A value of a metric, with the values of its labels."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


FAMILIES = (
    Family("quartet_model_info", "gauge", "Always 1; names the model.", ("model",)),
    Family("quartet_store_up", "gauge", "Whether the store answers: 1 or 0."),
    Family("quartet_exporter_part_up", "gauge", "Whether all of a part could be read: 1 or 0.", ("part",)),
    Family("quartet_exporter_read_timestamp_seconds", "gauge", "When what is shown of a part was read.", ("part",)),
    Family("quartet_exporter_read_duration_seconds", "gauge", "How long reading a part took last.", ("part",)),
    Family("quartet_limit", "gauge", "A limit of the settings; a limit that is not set is left out.", ("limit",)),
    # The champion
    Family("quartet_champion_version", "gauge", "The version that is to be stable; 0 before the first promotion."),
    Family("quartet_canary_version", "gauge", "The version that is on trial beside it; 0 while there is none."),
    Family(
        "quartet_champion_info",
        "gauge",
        "Always 1; what the champion is.",
        ("version", "variant", "run_id", "snapshot_id", "weights", "by"),
    ),
    Family("quartet_champion_since_timestamp_seconds", "gauge", "When it became the champion, the last time."),
    Family("quartet_champion_macro_f1", "gauge", "Its macro F1 on the test split of its run, from 0 to 1."),
    Family("quartet_champion_macro_f1_bound", "gauge", "Ends of the 95 % interval of that.", ("bound",)),
    Family("quartet_champion_accuracy", "gauge", "Its accuracy on the test split of its run, from 0 to 1."),
    Family("quartet_champion_class_f1", "gauge", "Its F1 for a class, likewise.", ("class",)),
    Family("quartet_champion_class_recall", "gauge", "Its recall for a class, likewise.", ("class",)),
    Family("quartet_serving_changes_total", "counter", "Records of what serves, by what was done.", ("action",)),
    # Runs
    Family("quartet_runs", "gauge", "Decided runs, of the newest 500, by what became of the winner.", ("outcome",)),
    Family("quartet_run_timestamp_seconds", "gauge", "When the gate decided last."),
    Family("quartet_run_cleared", "gauge", "Whether the gate let the winner of that run pass: 1 or 0."),
    Family("quartet_run_macro_f1", "gauge", "The winner's macro F1 on the test split, from 0 to 1."),
    Family("quartet_run_macro_f1_bound", "gauge", "Ends of the 95 % interval of that.", ("bound",)),
    Family(
        "quartet_run_info",
        "gauge",
        "Always 1; the run that the gate decided on last.",
        ("run_id", "variant", "snapshot_id", "outcome"),
    ),
    Family("quartet_approvals_waiting", "gauge", "Runs that wait for a person's approval, 10 at most."),
    Family("quartet_approval_asked_timestamp_seconds", "gauge", "When the one that waits longest was asked for."),
    # Snapshots
    Family("quartet_snapshot_info", "gauge", "Always 1; the newest published snapshot.", ("snapshot_id",)),
    Family("quartet_snapshot_timestamp_seconds", "gauge", "When it was made."),
    Family("quartet_snapshot_all_images", "gauge", "Its images, also those that are in no split."),
    Family("quartet_snapshot_images", "gauge", "Its images, by split and class.", ("split", "class")),
    Family("quartet_snapshot_excluded_images", "gauge", "Its images that are in no split."),
    Family("quartet_snapshot_added_images", "gauge", "Its images that its parent had not."),
    Family("quartet_objects_seen", "gauge", "Objects that were ever taken in or refused, by that snapshot."),
    Family("quartet_objects_quarantined", "gauge", "Of them, those in quarantine, by reason.", ("reason",)),
    Family("quartet_validation_info", "gauge", "Always 1; the newest validated snapshot.", ("snapshot_id", "verdict")),
    Family("quartet_validation_verdict", "gauge", "1 for what came of that, 0 for the others.", ("verdict",)),
    Family("quartet_validation_snapshot_timestamp_seconds", "gauge", "When that snapshot was made."),
    Family("quartet_validation_checks", "gauge", "Expectations that it was held against."),
    Family("quartet_validation_failed_checks", "gauge", "Those that it did not meet.", ("severity",)),
    # The landing zone
    Family("quartet_landing_objects", "gauge", "Objects in the landing zone that no ingest has seen."),
    Family("quartet_landing_bytes", "gauge", "Their size."),
    Family("quartet_landing_oldest_timestamp_seconds", "gauge", "When the oldest of them was written."),
    # The monitor
    Family("quartet_monitor_timestamp_seconds", "gauge", "When the monitor looked last; 0 before its first look."),
    Family("quartet_monitor_findings", "gauge", "What it found, by status.", ("status",)),
    Family(
        "quartet_monitor_finding_status",
        "gauge",
        "1 for the status of a finding, 0 for the others.",
        ("topic", "finding", "status"),
    ),
    Family("quartet_monitor_finding_value", "gauge", "What was measured, where it is a number.", ("topic", "finding")),
)
BY_NAME = {family.name: family for family in FAMILIES}
