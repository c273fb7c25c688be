"""Drift of a served version's requests: its answers against those on its test images, its images against its snapshot.

Prior shift (the classes come in other shares) moves the answers, and the images' measures as far as classes differ in
them. Covariate shift (a new scanner, another crop) moves the measures, and the answers only where the model minds.
Neither tells whether the answers are still right: for that, labels are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.coarse import coarse_measure, coarse_probabilities
from ml.measures import PROPERTIES
from ml.monitoring import DRIFT, Finding, unknown
from ml.shift import holm, shift_of_probabilities, shift_of_shares, shift_of_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from ml.config import MonitoringSettings
    from ml.shift import Shift

__all__ = ["ANSWERS", "NAMES", "Reference", "drifted", "judge_drift", "stack_probabilities"]

#: With fewer test images, or images of the snapshot, there is nothing to compare with.
FEWEST = 30
ANSWERS = ("predicted classes", "probabilities", "confidence")
#: What drift is measured of.
NAMES = (*ANSWERS, *PROPERTIES, "format")


@dataclass(frozen=True)
class Reference:
    """What a version's requests are compared with.

    Attributes:
        classes: labels in the order of its outputs.
        probabilities: on its test images, [N, C].
        images: of its snapshot: rows of the manifest that are in a split.
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.floating]
    images: pd.DataFrame


def judge_drift(reference: Reference | str, rows: pd.DataFrame, limits: MonitoringSettings) -> list[Finding]:
    """Test all distances, and hold those that chance does not explain against their limits.

    Args:
        reference: or why there is none.
        rows: about the version's requests, with the columns of :data:`ml.request_rows.SCHEMA`.
        limits: of the settings.
    """
    if isinstance(reference, str):
        return [unknown(DRIFT, name, reference, _required(name, limits)) for name in NAMES]
    answered = rows[rows["status"] == "OK"]
    measured = rows[rows["brightness"].notna()]
    why = {name: _why_not(name, reference, answered, measured, limits) for name in NAMES}
    shifts = {name: _shift(name, reference, answered, measured) for name in NAMES if not why[name]}
    adjusted = dict(zip(shifts, holm([shift.p_value for shift in shifts.values()]), strict=True))
    return [
        _finding(name, shifts[name], adjusted[name], limits)
        if name in shifts
        else unknown(DRIFT, name, why[name], _required(name, limits))
        for name in NAMES
    ]


def stack_probabilities(rows: pd.DataFrame) -> NDArray[np.float64]:
    """The column ``probabilities`` as [N, C]."""
    return np.stack([np.asarray(row, dtype=np.float64) for row in rows["probabilities"]])


def _why_not(
    name: str, reference: Reference, answered: pd.DataFrame, measured: pd.DataFrame, limits: MonitoringSettings
) -> str:
    of_answers = name in ANSWERS
    now, before = (answered, len(reference.probabilities)) if of_answers else (measured, len(reference.images))
    what = "test images" if of_answers else "images of the snapshot"
    if len(now) < limits.min_requests:
        kind = "answers" if of_answers else "measured images"
        return f"{len(now):,} logged {kind} in the window, at least {limits.min_requests:,} tell something"
    if before < FEWEST:
        return f"{before:,} {what} to compare with, at least {FEWEST}"
    if of_answers and set(map(len, answered["probabilities"])) != {len(reference.classes)}:
        return f"answers that are not of {len(reference.classes)} classes are logged for this version"
    return ""


def _shift(name: str, reference: Reference, answered: pd.DataFrame, measured: pd.DataFrame) -> Shift:
    if name in ANSWERS:
        return _shift_of_answers(name, reference.probabilities, answered)
    if name == "format":
        formats_before, formats_now = (table["format"].value_counts() for table in (reference.images, measured))
        formats = sorted(set(formats_before.index) | set(formats_now.index))
        first, second = ([int(one.get(form, 0)) for form in formats] for one in (formats_before, formats_now))
        return shift_of_shares(first, second)
    # Coarse, as rows are unless images are kept: one that is exact would differ from all that are not.
    before, now = (coarse_measure(name, table[name].dropna()) for table in (reference.images, measured))
    return shift_of_values(before, now)


def _shift_of_answers(name: str, reference: NDArray[Any], answered: pd.DataFrame) -> Shift:
    if name == "predicted classes":
        # Of coarse probabilities two may be the highest.
        predicted = reference.argmax(axis=1), answered["class_id"].to_numpy(np.int64)
        first, second = (np.bincount(one, minlength=reference.shape[1]).tolist() for one in predicted)
        return shift_of_shares(first, second)
    before, now = coarse_probabilities(reference), coarse_probabilities(stack_probabilities(answered))
    if name == "probabilities":
        return shift_of_probabilities(before, now)
    return shift_of_values(before.max(axis=1), now.max(axis=1))


def _limit(name: str, limits: MonitoringSettings) -> float:
    return limits.max_prediction_drift if name in ANSWERS else limits.max_input_drift


def _required(name: str, limits: MonitoringSettings) -> str:
    return f"at most {_limit(name, limits):.2f}"


def _finding(name: str, shift: Shift, p_value: float, limits: MonitoringSettings) -> Finding:
    drifted = p_value <= limits.false_alarm_share and shift.distance > _limit(name, limits)
    chance = "less than 0.001" if p_value < 0.001 else f"{p_value:.3f}"
    return Finding(
        DRIFT,
        name,
        "beyond" if drifted else "within",
        f"{shift.distance:.3f} (p {chance})",
        _required(name, limits),
        value=shift.distance,
        p_value=p_value,
    )


def drifted(findings: Sequence[Finding]) -> list[str]:
    """What has drifted."""
    return [one.name for one in findings if one.topic == DRIFT and one.status == "beyond"]
