import numpy as np
import pytest

from serving.answer_log import answer_observer
from serving.server.observed import Observation
from tiny_pictures import draw

PICTURES = [draw(1), draw(2)]
OUTPUTS = {
    "probabilities": np.array([[0.2, 0.8], [0, 0]], np.float32),
    "class_id": np.array([1, -1]),
    "class_name": np.array([b"b", b""], object),
    "status": np.array([b"OK", b"UNDECODABLE"], object),
}


class Kept:
    """Takes what a request log takes, of which it samples the second image or both."""

    def __init__(self, chosen=(0, 1)):
        self.chosen, self.taken = chosen, []

    def sample(self, count):
        return [index for index in self.chosen if index < count]

    def take(self, *what):
        self.taken.append(what)


def seen(**changes):
    inputs = {"image_bytes": np.array(PICTURES, object)}
    known = {"model_name": "m", "version": 4, "signature": "serving_default", "inputs": inputs, "outputs": OUTPUTS}
    return Observation(**known | {"milliseconds": 3.0} | changes)


def test_answers_are_paired_with_their_pictures():
    kept = Kept()

    answer_observer(kept, "m")(seen())

    (first, answer, label, milliseconds), (_, second, *_) = kept.taken
    assert (first, label, milliseconds) == (PICTURES[0], None, 3.0)
    assert (answer.class_id, answer.class_name, answer.version, answer.status) == (1, "b", 4, "OK")
    assert answer.probabilities == pytest.approx((0.2, 0.8))
    assert (second.class_id, second.ok) == (-1, False)


def test_only_what_is_sampled_is_taken():
    kept = Kept(chosen=[1])

    answer_observer(kept, "m")(seen())

    assert [image for image, *_ in kept.taken] == [PICTURES[1]]


def test_exports_without_a_status_answer_for_images_that_decode_only():
    kept = Kept(chosen=[0])

    answer_observer(kept, "m")(seen(outputs={name: OUTPUTS[name] for name in OUTPUTS if name != "status"}))

    assert kept.taken[0][1].ok


@pytest.mark.parametrize(
    "changes",
    [{"model_name": "other"}, {"signature": "serving_tensor"}, {"outputs": {"y": np.zeros(2)}}],
    ids=["another model", "another signature", "other outputs"],
)
def test_others_are_left_alone(changes):
    kept = Kept()

    answer_observer(kept, "m")(seen(**changes))

    assert kept.taken == []
