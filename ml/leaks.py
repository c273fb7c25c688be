"""Which test images a contender has seen: they say nothing about how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ml.plan import training_images
from ml.warm_start import trained_in

if TYPE_CHECKING:
    import numpy as np

    from ml.candidates import Contender
    from ml.storage import Store

__all__ = ["seen_in_training"]


def seen_in_training(store: Store, contender: Contender, samples: pd.DataFrame) -> np.ndarray:
    """Which of a run's images its weights, or weights it started from, were fitted to, or to others of their group.

    Args:
        store: of the runs.
        contender: of this run or an earlier one.
        samples: the run's images, with the columns image_id and group. A group may have had another name when the
            contender was trained: what is still there counts with the group it has now.

    Returns:
        bool [N], in the order of ``samples``.
    """
    runs = {run_id for member in contender.members for run_id in trained_in(store, member.candidate)}
    fitted = pd.concat([training_images(store, run_id) for run_id in sorted(runs)])
    ids = samples["image_id"].isin(fitted["image_id"])
    groups = samples["group"].isin(fitted["group"]) | samples["group"].isin(samples.loc[ids, "group"])
    return (ids | groups).to_numpy()
