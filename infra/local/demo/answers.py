"""One image asked of the model server by both protocols, and of the same model without a server."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.errors import ServingError

if TYPE_CHECKING:
    from ml.context import Context
    from ml.promotions import Champion

__all__ = ["Answers", "ask_everywhere", "wait_for_version"]

#: From the publication of a version to the server's first answer with it: mirroring, loading, warming up.
LOAD_SECONDS = 180.0
POLL_SECONDS = 0.5
AGREEMENT = 1e-5


@dataclass(frozen=True)
class Answers:
    """What was asked and answered; probabilities are float32 [C], in the order of ``classes``."""

    image: str
    truth: str
    classes: tuple[str, ...]
    grpc: np.ndarray
    rest: np.ndarray
    offline: np.ndarray

    @property
    def difference(self) -> float:
        """Largest difference in probability from the offline prediction."""
        return float(max(np.abs(self.grpc - self.offline).max(), np.abs(self.rest - self.offline).max()))

    @property
    def agree(self) -> bool:
        """Whether that is no more than float32 arithmetic explains."""
        return self.difference <= AGREEMENT


def wait_for_version(context: Context, version: int, seconds: float = LOAD_SECONDS) -> None:
    """Wait until the model server serves a version.

    Raises:
        ServingError: it cannot load it, or does not in time.
    """
    from serving.client import RestClient

    deadline = time.monotonic() + seconds
    seen = "no answer"
    with RestClient.from_settings(context.settings) as client:
        while time.monotonic() < deadline:
            try:
                states = {status.version: status for status in client.status()}
            except ServingError as error:
                seen, states = error.message, {}
            if version in states:
                status = states[version]
                seen = f"{status.state} {status.error_message}".strip()
                if status.state == "AVAILABLE":
                    return
                if status.state == "END":
                    raise ServingError(f"Version {version} cannot be served: {seen}.", "See `make logs`.")
            time.sleep(POLL_SECONDS)
    raise ServingError(f"Version {version} is not served after {seconds:.0f} seconds: {seen}.", "See `make logs`.")


def ask_everywhere(context: Context, champion: Champion) -> Answers:
    """Classify the first test image that the champion never saw in training."""
    from ml.candidates import load_candidate
    from ml.plan import load_samples
    from serving.client import GrpcClient, RestClient

    candidate = load_candidate(context.store, champion.run_id, champion.variant)
    samples = load_samples(context.store, champion.run_id)
    row = samples[samples["split"] == "test"].iloc[0]
    image = context.store.get(str(row["uri"]))
    with GrpcClient.from_settings(context.settings) as grpc:
        by_grpc = grpc.predict([image], champion.version)[0]
    with RestClient.from_settings(context.settings) as rest:
        by_rest = rest.predict([image], champion.version)[0]
    return Answers(
        image=str(row["uri"]),
        truth=candidate.classes[int(row["label"])],
        classes=candidate.classes,
        grpc=np.array(by_grpc.probabilities, np.float32),
        rest=np.array(by_rest.probabilities, np.float32),
        offline=_predict_offline(context, champion, image),
    )


def _predict_offline(context: Context, champion: Champion, image: bytes) -> np.ndarray:
    """Backbones and stored heads put together here: what was trained, not what was exported."""
    import tensorflow as tf

    from ml.candidates import load_candidate
    from ml.prediction import assemble
    from ml.preprocessing import decode_batch

    candidate = load_candidate(context.store, champion.run_id, champion.variant)
    size = candidate.lead.restore_settings(context.settings).images.size
    model = assemble(context, candidate)
    predict = tf.function(lambda images: model(decode_batch(images, size)))
    return np.asarray(predict(tf.constant([image]))["probabilities"], np.float32).ravel()
