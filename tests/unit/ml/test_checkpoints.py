import io
import logging

import keras
import numpy as np
import pytest

from ml.checkpoints import Checkpoints, stored_checkpoint
from ml.progress import Progress

KEY = "runs/run/vgg16/checkpoint.npz"
DECIDED_BY = {"settings": "1", "training images": "2"}


def variables(value):
    return [
        keras.Variable(np.full((2, 3), value, np.float32), trainable=False, dtype="float32"),
        keras.Variable(np.array([value, 7], np.uint32), trainable=False, dtype="uint32"),
    ]


@pytest.fixture
def progress():
    rows = [{"val_macro_f1": 0.1, "val_loss": 1 / 3}, {"val_macro_f1": 0.2, "val_loss": float("nan")}]
    return Progress(rows, [np.arange(3, dtype=np.float32)], 12.5)


@pytest.fixture
def checkpoint(store):
    return stored_checkpoint(store, KEY, {"feature maps": "3"})


@pytest.fixture
def kept(checkpoint, progress):
    """With a state of variables that are 5."""
    Checkpoints(checkpoint, DECIDED_BY, variables(5), 0).save(progress)
    return checkpoint


def test_state_comes_back_bit_for_bit(kept, progress):
    restored = variables(0)

    found = Checkpoints(kept, DECIDED_BY, restored, 0).restore()

    assert repr(found.rows) == repr(progress.rows)
    assert found.seconds == 12.5
    np.testing.assert_array_equal(found.best_weights, progress.best_weights)
    for one, other in zip(restored, variables(5), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_nothing_in_it_is_pickled(kept):
    with np.load(io.BytesIO(kept.load()), allow_pickle=False) as archive:
        assert not any(archive[name].dtype.hasobject for name in archive.files)


def test_without_a_save_a_training_begins_at_nothing(checkpoint):
    untouched = variables(0)

    assert Checkpoints(checkpoint, DECIDED_BY, untouched, 0).restore() == Progress()
    np.testing.assert_array_equal(untouched[1], [0, 7])


def test_what_is_removed_is_gone(kept, store):
    kept.remove()

    assert kept.load() is None
    assert store.head(KEY) is None


@pytest.mark.parametrize("seconds", [0, 3600], ids=["always", "once-an-hour"])
def test_saves_are_as_far_apart_as_is_asked_for(checkpoint, progress, seconds):
    Checkpoints(checkpoint, DECIDED_BY, variables(5), seconds).save(progress)

    assert (checkpoint.load() is None) == (seconds > 0)


def test_state_that_something_else_decided_is_left_alone(kept, caplog):
    untouched = variables(0)

    with caplog.at_level(logging.INFO, "ml.checkpoints"):
        found = Checkpoints(kept, DECIDED_BY | {"settings": "other"}, untouched, 0).restore()

    assert found == Progress()
    np.testing.assert_array_equal(untouched[1], [0, 7])
    assert caplog.messages == ["The checkpoint is another training's: other settings. Training starts over."]


def test_state_of_other_feature_maps_is_left_alone(kept, store):
    other = stored_checkpoint(store, KEY, {"feature maps": "4"})

    assert Checkpoints(other, DECIDED_BY, variables(0), 0).restore() == Progress()


def damaged(data, how):
    middle = len(data) // 2
    return {
        "empty": b"",
        "cut": data[:middle],
        "end-missing": data[:-1],
        "other": b"no archive",
        "flipped": data[:100] + bytes([data[100] ^ 1]) + data[101:],
    }[how]


@pytest.mark.parametrize("how", ["empty", "cut", "end-missing", "other", "flipped"])
def test_state_that_cannot_be_read_is_told_and_left_alone(kept, store, caplog, how):
    store.put(KEY, damaged(kept.load(), how))
    untouched = variables(0)

    assert Checkpoints(kept, DECIDED_BY, untouched, 0).restore() == Progress()
    np.testing.assert_array_equal(untouched[1], [0, 7])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "The checkpoint cannot be read" in caplog.text


def test_without_a_checkpoint_nothing_is_kept(progress):
    none = Checkpoints(None, DECIDED_BY, variables(5), 0)
    none.save(progress)

    assert none.restore() == Progress()
