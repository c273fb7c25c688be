"""Whether what a served model answers is what it answered before it was exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from serving.signature_calls import Answer

__all__ = ["check_answers", "check_broken", "difference"]

#: Of a sum that is 1: attention maps are float32.
ROUNDING = 1e-3


def difference(answer: Answer, expected: NDArray[np.float32]) -> float:
    """The largest difference in probability; infinite where shapes differ or an answer is no number."""
    if answer.probabilities.shape != expected.shape:
        return float("inf")
    largest = float(np.abs(answer.probabilities - expected).max(initial=0.0))
    return float("inf") if np.isnan(largest) else largest


def check_answers(
    answers: Mapping[str, Answer], expected: NDArray[np.float32], labels: Sequence[str], tolerance: float
) -> dict[str, float]:
    """Compare every signature's answers with the offline ones.

    Args:
        answers: by signature.
        expected: float32 [N, C], offline probabilities of the same images.
        labels: in the order of the outputs.
        tolerance: largest difference in probability.

    Returns:
        The largest difference, by signature.

    Raises:
        DataError: one is larger than the tolerance, a label does not belong to its probability, an image was called
            undecodable, or an attention map is none.
    """
    found = {name: difference(answer, expected) for name, answer in answers.items()}
    worst = max(found, key=lambda name: found[name])
    if found[worst] > tolerance:
        raise DataError(
            f"The exported model differs from its evaluation by {found[worst]:.3g} in probability at {worst}, more "
            f"than {tolerance:g}.",
            "Nothing was published. Where it is a little, set `features.precision: float32` and retrain.",
        )
    for name, answer in answers.items():
        _check_form(name, answer, np.array(labels, dtype=object))
    return found


def check_broken(answer: Answer, expected: NDArray[np.float32], tolerance: float) -> None:
    """Check the answer for a good image and a broken one.

    Args:
        answer: to both, in this order.
        expected: float32 [C], offline probabilities of the good one.
        tolerance: largest difference in probability.

    Raises:
        DataError: the broken one was not called undecodable, or the good one was answered otherwise than alone.
    """
    status = answer.status.tolist()
    if status != ["OK", "UNDECODABLE"] or answer.probabilities[1].any():
        raise _wrong(
            f"calls a good and a broken image {status}, with {answer.probabilities[1].tolist()} for the latter"
        )
    apart = float(np.abs(answer.probabilities[0] - expected).max())
    if not apart <= tolerance:
        raise _wrong(f"answers an image otherwise, by {apart:.3g}, when a broken one is sent along")


def _check_form(name: str, answer: Answer, labels: NDArray[np.object_]) -> None:
    best = answer.probabilities.argmax(axis=1)
    # Of `classify` all labels of each image, of the others that of the best.
    right = np.broadcast_to(labels, answer.probabilities.shape) if answer.labels.ndim == 2 else labels[best]
    if not np.array_equal(answer.labels, right):
        raise _wrong(f"has other labels than {labels.tolist()} at {name}")
    if answer.class_ids.size and not np.array_equal(answer.class_ids, best):
        raise _wrong(f"names a class that is not the most probable one at {name}")
    if answer.status.size and set(answer.status.tolist()) != {"OK"}:
        raise _wrong(f"calls good images {sorted(set(answer.status.tolist()))} at {name}")
    if answer.attention is not None:
        sums = answer.attention.sum(axis=(1, 2))
        if not np.allclose(sums, 1, atol=ROUNDING) or answer.attention.min() < 0:
            raise _wrong(f"gives attention maps at {name} that sum to {sums.min():.3g} to {sums.max():.3g}")


def _wrong(what: str) -> DataError:
    return DataError(f"The exported model {what}.", "Nothing was published. Look at the export's own tests.")
