import logging

import numpy as np
import pytest
from sklearn.metrics import f1_score

from ml.checkpoints import Checkpoint
from ml.config import StoreSettings, TrainSettings
from ml.errors import DataError
from ml.features import FeatureReader, write_shard
from ml.storage import open_store
from ml.training import LabelledImages, predict_head, train_head

pytestmark = pytest.mark.slow  # each test trains a head: two seconds, more than half a minute together

SHAPE = (2, 2, 6)
SETTINGS = TrainSettings(
    epochs=6,
    batch_size=8,
    learning_rate=0.01,
    patience=6,
    heads=2,
    key_dim=4,
    units=16,
    dropout=0,
    precision="float32",
)


FIGURES = {"accuracy", "loss", "val_accuracy", "val_loss", "val_macro_f1", "learning_rate"}


def labelled(indices):
    return LabelledImages([f"id{index}" for index in indices], np.array([index % 2 for index in indices]))


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Feature maps of 60 images in two classes that differ in their first channel."""
    generator = np.random.default_rng(0)
    maps = generator.normal(0, 1, (60, *SHAPE))
    maps[1::2, :, :, 0] += 4
    folder = tmp_path_factory.mktemp("training")
    store = open_store(StoreSettings(url=str(folder / "store")))
    write_shard(store, "features/two/0/", [f"id{index}" for index in range(60)], maps.astype(np.float16))
    return FeatureReader(store, "features/two/0/", folder / "cache")


@pytest.fixture(scope="module")
def train(reader):
    def run(training=None, validation=None, initial=None, checkpoint=None, **changes):
        training, validation = training or labelled(range(40)), validation or labelled(range(40, 50))
        settings = SETTINGS.model_copy(update=changes)
        return train_head(reader, training, validation, 2, settings, initial=initial, checkpoint=checkpoint)

    return run


def test_classes_that_differ_are_learnt(train, reader):
    trained = train()

    test = labelled(range(50, 60))
    predicted = predict_head(trained.head, reader, test.image_ids)["probabilities"].argmax(axis=1)
    np.testing.assert_array_equal(predicted, test.labels)


def test_what_fails_while_maps_are_read_is_raised_as_what_it_is(train):
    """Not as TensorFlow's error, which the pipeline would take for one that passes."""
    gone = LabelledImages([*(f"id{index}" for index in range(40)), "gone"], np.zeros(41, np.int64))

    with pytest.raises(DataError, match="Image gone has no feature map under features/two/0/"):
        train(validation=gone)


CONTRADICTING = LabelledImages([f"id{index}" for index in range(40, 50)], np.array([1, 0] * 5))


def assert_equal(one, other):
    """Bit for bit."""
    for weight, same in zip(one.head.get_weights(), other.head.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    assert one.history.equals(other.history)
    assert one.best_epoch == other.best_epoch


def test_head_has_the_weights_of_its_best_epoch(train, reader):
    """On validation labels that contradict the training ones, every epoch makes things worse."""
    trained = train(validation=CONTRADICTING)
    probabilities = predict_head(trained.head, reader, CONTRADICTING.image_ids)["probabilities"]
    loss = -np.log(np.clip(probabilities[np.arange(10), CONTRADICTING.labels], 1e-7, 1)).mean()
    macro_f1 = f1_score(CONTRADICTING.labels, probabilities.argmax(axis=1), average="macro")

    best = trained.history.iloc[trained.best_epoch - 1]
    assert best["val_macro_f1"] == trained.history["val_macro_f1"].max()
    assert trained.best_epoch < len(trained.history)
    assert macro_f1 == pytest.approx(best["val_macro_f1"], abs=1e-6)
    assert loss == pytest.approx(best["val_loss"], rel=1e-3, abs=1e-5)


def test_training_stops_when_nothing_gets_better(train):
    trained = train(validation=CONTRADICTING, epochs=40, patience=2)

    assert len(trained.history) == trained.best_epoch + 2


def test_history_has_a_row_an_epoch(train):
    trained = train(epochs=3)

    assert set(trained.history.columns) == {"epoch", *FIGURES}
    assert trained.history["epoch"].tolist() == [1, 2, 3]


def test_every_epoch_is_told(reader):
    told = []
    settings = SETTINGS.model_copy(update={"epochs": 2})

    train_head(
        reader,
        labelled(range(40)),
        labelled(range(40, 50)),
        2,
        settings,
        lambda epoch, metrics: told.append((epoch, *metrics)),
    )

    assert [epoch for epoch, *_ in told] == [1, 2]
    assert set(told[0][1:]) == FIGURES


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_seed_gives_the_same_head_bit_for_bit(train, precision):
    changes = {"epochs": 2, "dropout": 0.3, "precision": precision}
    first, again, other = (train(seed=seed, **changes) for seed in (1, 1, 2))

    assert_equal(first, again)
    assert not np.allclose(first.head.get_weights()[-1], other.head.get_weights()[-1], atol=1e-3)


def test_learning_rate_of_an_epoch_is_that_of_its_last_step(train):
    rates = train(epochs=3, warmup_epochs=1, learning_rate=0.1).history["learning_rate"]

    assert rates.tolist() == pytest.approx([0.1, 0.0648, 0.0034], rel=0.02)


def test_image_that_is_named_more_often_weighs_more(train, reader):
    """Two images of opposite classes with the same map: the one that is repeated wins."""
    ids = ["id0"] * 30 + ["id0"] * 3
    often = LabelledImages(ids, np.array([1] * 30 + [0] * 3))

    trained = train(training=often, validation=LabelledImages(["id0"], np.array([1])), noise=0.0)

    assert predict_head(trained.head, reader, ["id0"])["probabilities"][0, 1] > 0.6


def test_head_trained_in_bfloat16_computes_in_float32(train, reader):
    trained = train(precision="bfloat16")
    test = labelled(range(50, 60))
    probabilities = predict_head(trained.head, reader, test.image_ids)["probabilities"]

    assert trained.precision == "bfloat16"
    assert {layer.compute_dtype for layer in trained.head.layers} == {"float32"}
    np.testing.assert_array_equal(probabilities.argmax(axis=1), test.labels)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_head_without_attention_learns_and_looks_everywhere_alike(reader, precision):
    settings = SETTINGS.model_copy(update={"precision": precision, "epochs": 20, "patience": 20})
    test = labelled(range(50, 60))

    trained = train_head(reader, labelled(range(40)), labelled(range(40, 50)), 2, settings, attention=False)

    output = predict_head(trained.head, reader, test.image_ids)
    np.testing.assert_array_equal(output["probabilities"].argmax(axis=1), test.labels)
    np.testing.assert_allclose(output["attention"], 0.25)


def test_predictions_come_in_the_order_asked_for_whatever_the_batches(train, reader):
    head = train(epochs=1).head
    ids = [f"id{index}" for index in (5, 3, 40, 8, 1)]

    one, many = (predict_head(head, reader, ids, batch_size=size) for size in (1, 64))

    np.testing.assert_allclose(one["probabilities"], many["probabilities"], atol=1e-5)
    assert one["attention"].shape == (5, 2, 2)


RARE = labelled([*range(0, 40, 2), 1, 3])


@pytest.mark.slow
def test_images_of_a_rare_class_weigh_more_in_the_loss(train, reader):
    """Of one map, ten times as many images have one class as the other: weighed, the classes are even."""
    uneven = LabelledImages(["id0"] * 440, np.array([0] * 400 + [1] * 40))
    changes = {"training": uneven, "noise": 0.0, "epochs": 1, "schedule": "constant", "warmup_epochs": 0}

    weighed, plain = (
        predict_head(train(imbalance=imbalance, **changes).head, reader, ["id0"])["probabilities"][0, 1]
        for imbalance in ("class_weight", "none")
    )

    assert plain < 0.25
    assert 0.35 < weighed < 0.65


class Kept:
    """A checkpoint in memory that keeps every save."""

    def __init__(self, subject="0"):
        self.saves, self.loaded = [], None
        self.checkpoint = Checkpoint(lambda: self.loaded, self._keep, lambda: None, {"feature maps": subject})

    def _keep(self, path):
        self.saves.append(path.read_bytes())


CHECKED = {"checkpoint_seconds": 0, "dropout": 0.3, "epochs": 4}


@pytest.fixture(scope="module")
def undisturbed(train):
    """A training with its saves."""
    kept = Kept()
    return train(checkpoint=kept.checkpoint, **CHECKED), kept.saves


def resumable(saves, subject="0"):
    """With the state after two epochs."""
    kept = Kept(subject)
    kept.loaded = saves[1]
    return kept


def test_training_that_goes_on_ends_as_one_that_was_not_interrupted(train, undisturbed):
    whole, saves = undisturbed
    kept = resumable(saves)

    resumed = train(checkpoint=kept.checkpoint, **CHECKED)

    assert (len(saves), len(kept.saves)) == (4, 2)
    assert_equal(resumed, whole)
    assert resumed.seconds > 0


@pytest.mark.slow
def test_going_on_is_as_exact_in_bfloat16_with_weighed_classes(train):
    changes = CHECKED | {"precision": "bfloat16", "imbalance": "class_weight", "training": RARE}
    first = Kept()
    whole = train(checkpoint=first.checkpoint, **changes)

    assert_equal(train(checkpoint=resumable(first.saves).checkpoint, **changes), whole)


def test_training_that_was_over_is_not_gone_on_with(train):
    changes = CHECKED | {"validation": CONTRADICTING, "epochs": 40, "patience": 2}
    kept, later = Kept(), Kept()
    whole = train(checkpoint=kept.checkpoint, **changes)
    later.loaded = kept.saves[-1]

    resumed = train(checkpoint=later.checkpoint, **changes)

    assert later.saves == []
    assert_equal(resumed, whole)


def test_epochs_of_a_checkpoint_are_told_again(undisturbed, reader):
    told = []

    train_head(
        reader,
        labelled(range(40)),
        labelled(range(40, 50)),
        2,
        SETTINGS.model_copy(update=CHECKED),
        lambda epoch, _: told.append(epoch),
        checkpoint=resumable(undisturbed[1]).checkpoint,
    )

    assert told == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "subject", "reason"),
    [
        ({"learning_rate": 0.02}, "0", "settings"),
        ({"training": labelled(range(39))}, "0", "training images"),
        ({"validation": labelled(range(40, 49))}, "0", "validation images"),
        ({"units": 8}, "0", "settings, shapes of weights"),
        ({}, "1", "feature maps"),
    ],
    ids=["settings", "training-images", "validation-images", "sizes", "feature-maps"],
)
def test_checkpoint_of_another_training_is_left_alone(undisturbed, train, caplog, changes, subject, reason):
    other = resumable(undisturbed[1], subject)

    with caplog.at_level(logging.INFO, "ml.checkpoints"):
        trained = train(checkpoint=other.checkpoint, **CHECKED | changes)

    assert f"The checkpoint is another training's: other {reason}." in caplog.text
    assert len(other.saves) == len(trained.history) == 4


def test_time_between_saves_makes_no_other_training(undisturbed, train):
    kept = resumable(undisturbed[1])

    resumed = train(checkpoint=kept.checkpoint, **CHECKED | {"checkpoint_seconds": 3600})

    assert kept.saves == []
    assert_equal(resumed, undisturbed[0])


def test_checkpoint_that_was_cut_is_told_and_training_starts_over(undisturbed, train, caplog):
    whole, saves = undisturbed
    kept = Kept()
    kept.loaded = saves[1][:-100]

    trained = train(checkpoint=kept.checkpoint, **CHECKED)

    assert [record.levelname for record in caplog.records if "cannot be read" in record.message] == ["WARNING"]
    assert len(kept.saves) == 4
    assert_equal(trained, whole)


def test_warm_training_starts_from_the_weights_it_is_given(train, reader):
    """One step that is next to nothing long leaves them as they are, the features' statistics included."""
    before = train()

    after = train(initial=before.head.get_weights(), training=labelled(range(8)), epochs=1, learning_rate=1e-12)

    ids = [f"id{index}" for index in range(60)]
    for one, other in zip(before.head.weights, after.head.weights, strict=True):
        if "batch_normalisation/moving" not in one.path:
            np.testing.assert_allclose(one, other, atol=1e-9, err_msg=one.path)
    one, other = (predict_head(trained.head, reader, ids)["probabilities"] for trained in (before, after))
    np.testing.assert_array_equal(one.argmax(axis=1), other.argmax(axis=1))


def test_checkpoint_of_a_cold_training_is_no_warm_one(undisturbed, train, caplog):
    whole, saves = undisturbed

    with caplog.at_level(logging.INFO, "ml.checkpoints"):
        train(checkpoint=resumable(saves).checkpoint, initial=whole.head.get_weights(), **CHECKED)

    assert "other initial weights" in caplog.text
