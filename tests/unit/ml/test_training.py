import numpy as np
import pytest

from ml.config import TrainSettings
from ml.features import FeatureReader, write_shard
from ml.training import LabelledImages, channel_statistics, predict_head, train_head

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


def labelled(indices):
    return LabelledImages([f"id{index}" for index in indices], np.array([index % 2 for index in indices]))


def cached(store, folder, maps):
    """A reader of these maps, whose images are called id0, id1 and so on."""
    write_shard(store, "features/two/0/", [f"id{index}" for index in range(len(maps))], maps.astype(np.float16))
    return FeatureReader(store, "features/two/0/", folder / "cache")


@pytest.fixture
def reader(store, tmp_path):
    """Feature maps of 60 images in two classes that differ in their first channel."""
    generator = np.random.default_rng(0)
    maps = generator.normal(0, 1, (60, *SHAPE))
    maps[1::2, :, :, 0] += 4
    return cached(store, tmp_path, maps)


@pytest.fixture
def train(reader):
    def run(training=None, validation=None, **changes):
        training, validation = training or labelled(range(40)), validation or labelled(range(40, 50))
        return train_head(reader, training, validation, 2, SETTINGS.model_copy(update=changes))

    return run


def test_classes_that_differ_are_learnt(train, reader):
    trained = train()

    test = labelled(range(50, 60))
    predicted = predict_head(trained.head, reader, test.image_ids)["probabilities"].argmax(axis=1)
    np.testing.assert_array_equal(predicted, test.labels)


def test_head_has_the_weights_of_its_best_epoch(train, reader):
    """On validation labels that contradict the training ones, every epoch makes the loss worse."""
    validation = LabelledImages([f"id{index}" for index in range(40, 50)], np.array([1, 0] * 5))
    trained = train(validation=validation)
    probabilities = predict_head(trained.head, reader, validation.image_ids)["probabilities"]
    loss = -np.log(np.clip(probabilities[np.arange(10), validation.labels], 1e-7, 1)).mean()

    best = trained.history["val_loss"].min()
    assert trained.best_epoch == trained.history.loc[trained.history["val_loss"].idxmin(), "epoch"]
    assert trained.best_epoch < len(trained.history)
    assert loss == pytest.approx(best, rel=1e-3, abs=1e-5)


def test_training_stops_when_nothing_gets_better(train):
    contradicting = LabelledImages([f"id{index}" for index in range(40, 50)], np.array([1, 0] * 5))

    trained = train(validation=contradicting, epochs=40, patience=2)

    assert len(trained.history) == trained.best_epoch + 2


def test_history_has_a_row_an_epoch(train):
    trained = train(epochs=3)

    assert sorted(trained.history.columns) == ["accuracy", "epoch", "loss", "val_accuracy", "val_loss"]
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
    assert set(told[0][1:]) == {"accuracy", "loss", "val_accuracy", "val_loss"}


def test_same_seed_gives_the_same_head(train, reader):
    ids = [f"id{index}" for index in range(60)]
    first, again, other = (
        predict_head(train(seed=seed, epochs=2).head, reader, ids)["probabilities"] for seed in (1, 1, 2)
    )

    np.testing.assert_allclose(first, again, atol=1e-5)
    assert not np.allclose(first, other, atol=1e-3)


def test_image_that_is_named_more_often_weighs_more(train, reader):
    """Two images of opposite classes with the same map: the one that is repeated wins."""
    ids = ["id0"] * 30 + ["id0"] * 3
    often = LabelledImages(ids, np.array([1] * 30 + [0] * 3))

    trained = train(training=often, noise=0.0)

    assert predict_head(trained.head, reader, ["id0"])["probabilities"][0, 1] > 0.6


def test_statistics_are_those_of_the_named_images(reader):
    ids = [f"id{index}" for index in range(1, 21, 2)]
    maps = reader.take(ids).astype(np.float64)

    mean, variance = channel_statistics(reader, ids, batch_size=3)

    np.testing.assert_allclose(mean, maps.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(variance, maps.var(axis=(0, 1, 2)), rtol=1e-4)


def test_a_small_spread_about_a_large_mean_is_not_lost(store, tmp_path):
    maps = 1000 + np.random.default_rng(0).integers(0, 2, (30, *SHAPE))
    reader = cached(store, tmp_path, maps)

    _, variance = channel_statistics(reader, [f"id{index}" for index in range(30)], batch_size=7)

    np.testing.assert_allclose(variance, maps.var(axis=(0, 1, 2)), rtol=1e-4)


def test_head_trained_in_bfloat16_computes_in_float32(train, reader):
    trained = train(precision="bfloat16")
    test = labelled(range(50, 60))
    probabilities = predict_head(trained.head, reader, test.image_ids)["probabilities"]

    assert trained.precision == "bfloat16"
    assert {layer.compute_dtype for layer in trained.head.layers} == {"float32"}
    np.testing.assert_array_equal(probabilities.argmax(axis=1), test.labels)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_head_without_attention_learns_and_looks_everywhere_alike(reader, precision):
    settings = SETTINGS.model_copy(update={"precision": precision})
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
