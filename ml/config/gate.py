"""Section ``gate``: what a winner must clear."""

from __future__ import annotations

from pydantic import Field

from ml.config.base import Fraction, Section

__all__ = ["LONGEST_WAIT_HOURS", "ApprovalSettings", "ClassFloors", "GateSettings"]

#: A run's limit in `dags/retrain.py` leaves so much for a person.
LONGEST_WAIT_HOURS = 168


class ClassFloors(Section):
    """What is asked of one class, beside what is asked of all."""

    min_f1: Fraction | None = None
    min_recall: Fraction | None = None


class ApprovalSettings(Section):
    """A person who has the last word on what the gate cleared."""

    timeout_hours: float = Field(
        24, gt=0, le=LONGEST_WAIT_HOURS, description="to wait for an answer; with none the winner is rejected"
    )
    approvers: tuple[str, ...] = Field(
        (), description="names of the Airflow users who may answer; with none, whoever Airflow lets"
    )


class GateSettings(Section):
    """What a winner must clear. With no rule set, nothing is promoted."""

    min_macro_f1: Fraction | None = None
    min_class_f1: Fraction | None = Field(None, description="of every class")
    min_class_recall: Fraction | None = Field(None, description="of every class: the share of its images that is found")
    classes: dict[str, ClassFloors] = Field(default_factory=dict, description="floors of single classes, by label")
    max_calibration_error: Fraction | None = Field(
        None, description="expected calibration error: how far the probabilities may be from the truth on average"
    )
    min_slice_accuracy: Fraction | None = Field(
        None, description="of the worst slice of the test images that has `evaluation.min_slice_images` or more"
    )
    champion_margin: float | None = Field(
        None,
        ge=0,
        le=1,
        description="macro F1: a challenger that is worse by so much, or with 0 one that is no better, is promoted "
        "with a probability of champion_risk at most; it must also look better",
    )
    champion_risk: float = Field(
        0.05, gt=0, lt=1, description="probability, at most, that the challenger is worse by the margin or more"
    )
    max_latency_ms: float | None = Field(
        None,
        gt=0,
        description="milliseconds in which the exported model must answer 95 of 100 single images, on the machine that "
        "examines it",
    )
    max_size_mb: float | None = Field(None, gt=0, description="of the exported model, all its files, 10^6 bytes")
    approval: ApprovalSettings | None = Field(
        None, description="a person is asked before a cleared winner is promoted; {} for the defaults, null asks nobody"
    )
