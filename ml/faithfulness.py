"""Whether an overlay shows what a model goes by: what becomes of the answer without the pixels it marks, and with them.

Deletion and insertion as in Petsiuk, Das & Saenko (2018, RISE): the pixels are taken away, or put into a blurred image,
in the order of the overlay, and the probability of the model's class is averaged over the way. An overlay that is no
better than a random one shows nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ml.bootstrap import Draws, mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["compare_overlays", "deletion_and_insertion", "random_overlays"]

#: Equal shares of an image in which pixels go and come.
STEPS = 8
#: Of the blurred image that pixels are put into, as a share of its side: what is left are patches of grey.
BLUR = 0.05


def deletion_and_insertion(
    ask: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    image: NDArray[np.float32],
    overlays: Sequence[NDArray[np.float32]],
    class_id: int,
) -> NDArray[np.float64]:
    """Probability of a class while pixels go, and while they come; a faithful overlay's falls soon, and rises soon.

    Args:
        ask: the model, from float32 [n, size, size, 3] in [0, 1] to probabilities float32 [n, C].
        image: float32 [size, size, 3].
        overlays: maps [h, w] of any size.
        class_id: of the class.

    Returns:
        [overlays, 2, STEPS + 1]: for each overlay deletion and insertion, from no pixel to all of them.
    """
    size = image.shape[0]
    blurred = cv2.GaussianBlur(image, (0, 0), BLUR * size, borderType=cv2.BORDER_REFLECT_101)
    empty = np.broadcast_to(image.mean(axis=(0, 1)), image.shape)
    frames = [image, empty, blurred]  # the ends of all curves
    for overlay in overlays:
        ranks = _ranks(overlay, size)
        marked = [(ranks < step / STEPS)[:, :, None] for step in range(1, STEPS)]
        frames += [np.where(mask, empty, image) for mask in marked]
        frames += [np.where(mask, image, blurred) for mask in marked]
    chances = ask(np.stack(frames).astype(np.float32))[:, class_id].astype(float)
    curves = np.empty((len(overlays), 2, STEPS + 1))
    curves[:, :, 1:-1] = chances[3:].reshape(len(overlays), 2, STEPS - 1)
    curves[:, 0, 0] = curves[:, 1, -1] = chances[0]
    curves[:, 0, -1], curves[:, 1, 0] = chances[1:3]
    return curves


def random_overlays(count: int, shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Overlays as coarse as those of an attention of this height and width, that know nothing: [count, H, W]."""
    return np.random.default_rng(seed).random((count, *shape), np.float32)


def compare_overlays(curves: Mapping[str, NDArray[np.floating]], groups: Sequence[str]) -> dict[str, Any]:
    """Hold overlays against random ones, image by image.

    Args:
        curves: by the overlay's name, with one called ``random``: float [N, 2, STEPS + 1], what
            :func:`deletion_and_insertion` gives for each image.
        groups: [N], of the images; drawn whole for the intervals.

    Returns:
        ``images``, ``steps``, and for each overlay ``deletion`` and ``insertion`` (mean areas under the curves, from 0
        to 1), ``score`` (insertion less deletion), ``gain`` (its score less that of the random overlay, on average)
        with its ``interval``, both None for the random one, and ``curves`` (means, [2][STEPS + 1]).
    """
    draws = Draws(groups)
    # By the trapezoid rule.
    areas = {name: (one[:, :, 1:] + one[:, :, :-1]).mean(axis=2) / 2 for name, one in curves.items()}
    scores = {name: both[:, 1] - both[:, 0] for name, both in areas.items()}
    overlays = {}
    for name, both in areas.items():
        gains = scores[name] - scores["random"]
        compared = name != "random"
        overlays[name] = {
            "deletion": float(both[:, 0].mean()),
            "insertion": float(both[:, 1].mean()),
            "score": float(scores[name].mean()),
            "gain": float(gains.mean()) if compared else None,
            "interval": mean_interval(gains, draws) if compared else None,
            "curves": curves[name].mean(axis=0).tolist(),
        }
    return {"images": len(groups), "steps": STEPS, "overlays": overlays}


def _ranks(overlay: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """Each pixel's place in the order of the overlay, as a share from 0 (marked most) to below 1: [size, size].

    Pixels that are marked alike come in no order: from above to below would be one that means something in a picture.
    """
    enlarged = cv2.resize(np.asarray(overlay, np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    ranks, lots = np.empty(size * size), np.random.default_rng(0).random(size * size)
    ranks[np.lexsort((lots, -enlarged.ravel()))] = np.arange(size * size) / (size * size)
    return ranks.reshape(size, size)
