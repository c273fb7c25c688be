import numpy as np
import pandas as pd
import pytest

from ml.augment import view_id
from ml.batches import Batches, LabelledImages, channel_statistics, training_images, validation_images
from ml.config import AugmentSettings
from ml.features import FeatureReader, write_shard

SHAPE = (2, 2, 6)


@pytest.fixture
def cached(store, tmp_path):
    """Makes a reader of maps, whose images are called id0, id1 and so on."""

    def write(maps):
        write_shard(store, "features/two/0/", [f"id{index}" for index in range(len(maps))], maps.astype(np.float16))
        return FeatureReader(store, "features/two/0/", tmp_path / "cache")

    return write


@pytest.fixture
def reader(cached):
    return cached(np.random.default_rng(0).normal(0, 1, (60, *SHAPE)))


IMAGES = LabelledImages([f"id{index}" for index in range(10)], np.arange(10) % 2)


def order(batches):
    """Numbers of the images in the order in which an epoch sees them."""
    maps = np.concatenate([batches[index][0] for index in range(len(batches))])
    return [int(np.flatnonzero((map_ == batches.everything).all(axis=(1, 2, 3)))[0]) for map_ in maps]


@pytest.fixture
def shuffled(reader):
    def make(epoch, seed=1):
        batches = Batches(reader, IMAGES, 4, seed)
        batches.everything = reader.take(IMAGES.image_ids)
        batches.shuffle(epoch)
        return order(batches)

    return make


def test_order_of_an_epoch_depends_on_seed_and_number_alone(shuffled):
    assert shuffled(3) == shuffled(3)
    assert sorted(shuffled(3)) == list(range(10))
    assert len({tuple(shuffled(3)), tuple(shuffled(4)), tuple(shuffled(3, seed=2))}) == 3


def test_without_a_seed_images_keep_their_order(shuffled):
    assert shuffled(3, seed=None) == list(range(10))


@pytest.mark.parametrize("weights", [None, np.array([0.5, 2.0], np.float32)])
def test_each_pass_over_the_dataset_has_the_order_of_its_beginning(reader, weights):
    batches = Batches(reader, IMAGES, 4, 1, weights)
    dataset = batches.dataset()
    for epoch in (0, 1):
        batches.shuffle(epoch)
        given = [[part.numpy() for part in batch] for batch in dataset]

        assert [len(maps) for maps, *_ in given] == [4, 4, 2]
        for index, batch in enumerate(given):
            for part, expected in zip(batch, batches[index], strict=True):
                np.testing.assert_array_equal(part, expected)
    assert dataset.cardinality() == 3


def test_each_image_comes_with_the_weight_of_its_class(reader):
    batches = Batches(reader, IMAGES, 4, None, np.array([0.5, 2.0], np.float32))

    maps, labels, weights = batches[2]
    assert maps.shape == (2, *SHAPE)
    assert labels.tolist() == [0, 1]
    assert weights.tolist() == [0.5, 2.0]


def test_statistics_are_those_of_the_named_images(reader):
    ids = [f"id{index}" for index in range(1, 21, 2)]
    maps = reader.take(ids).astype(np.float64)

    mean, variance = channel_statistics(reader, ids, batch_size=3)

    np.testing.assert_allclose(mean, maps.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance, maps.var(axis=(0, 1, 2)), rtol=1e-4)


def test_a_small_spread_about_a_large_mean_is_not_lost(cached):
    maps = 1000 + np.random.default_rng(0).integers(0, 2, (30, *SHAPE))

    _, variance = channel_statistics(cached(maps), [f"id{index}" for index in range(30)], batch_size=7)

    np.testing.assert_allclose(variance, maps.var(axis=(0, 1, 2)), rtol=1e-4)


def test_each_epoch_shows_an_image_in_one_of_its_views(reader):
    """Views of an image are those of the images ten and twenty places on, so that each map tells which it is."""
    ids = [f"id{index}" for index in range(10)]
    views = [[f"id{index + 10 * number}" for index in range(10)] for number in (1, 2)]
    images = LabelledImages(ids, np.arange(10), views)
    batches = Batches(reader, images, 4, shuffle_seed=0)
    choices = [reader.take(one) for one in (ids, *views)]
    shown = set()
    for epoch in range(8):
        batches.shuffle(epoch)
        maps, labels = (np.concatenate(parts) for parts in zip(*(batches[index] for index in range(3)), strict=True))
        assert sorted(labels) == list(range(10))
        for one, label in zip(maps, labels, strict=True):
            shown |= {(label, view) for view in range(3) if np.array_equal(one, choices[view][label])}

    assert len(shown) > 25


def test_training_images_are_repeated_and_have_their_views():
    samples = pd.DataFrame(
        {
            "image_id": ["a", "b", "c"],
            "split": ["train", "train", "validation"],
            "label": [0, 1, 1],
            "repeats": [1, 2, 1],
        }
    )
    augment = AugmentSettings(views=1)

    training = training_images(samples, augment)

    assert (list(training.image_ids), training.labels.tolist()) == (["a", "b", "b"], [0, 1, 1])
    assert [list(view) for view in training.views] == [[view_id(one, 1, augment) for one in ("a", "b", "b")]]
    assert list(validation_images(samples).image_ids) == ["c"]
    assert training_images(samples, AugmentSettings()).views == []
