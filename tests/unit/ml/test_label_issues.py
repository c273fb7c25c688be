import numpy as np
import pandas as pd
import pytest

from ml.features import FeatureReader, write_shard
from ml.label_issues import find_issues, out_of_fold_probabilities, rank_issues, review_labels

CLASSES = ("a", "b", "c")
SEED = 7


def drawn(count=200, distance=4.0, size=16, classes=3):
    """Vectors around a centre of their own for each class, labels, and groups of two images."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), count)
    features = generator.normal(0, 1, (len(labels), size))
    features[np.arange(len(labels)), labels] += distance
    return features.astype(np.float32), table(labels)


def table(labels, groups=None):
    rows = np.arange(len(labels))
    groups = rows // 2 if groups is None else groups
    return pd.DataFrame(
        {
            "image_id": [f"i{row:04d}" for row in rows],
            "group": [f"g{group}" for group in groups],
            "split": "train",
            "label": labels,
        }
    )


def swap(samples, share, classes=3):
    """Give images, drawn by chance, another label; returns which they are."""
    generator = np.random.default_rng(1)
    chosen = generator.choice(len(samples), int(share * len(samples)), replace=False)
    labels = samples["label"].to_numpy(copy=True)
    labels[chosen] = (labels[chosen] + generator.integers(1, classes, len(chosen))) % classes
    return samples.assign(label=labels), set(samples["image_id"].iloc[chosen])


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_labels_that_were_swapped_are_found_and_few_others(share):
    features, samples = drawn()
    swapped, planted = swap(samples, share)

    found = find_issues(features, swapped, CLASSES, SEED).issues

    hits = planted & {issue.image_id for issue in found}
    assert len(hits) >= 0.9 * len(planted)
    assert len(hits) >= 0.8 * len(found)
    assert {issue.image_id for issue in found[: len(planted) // 2]} <= planted


def test_the_label_that_an_image_had_is_suggested():
    features, samples = drawn()
    swapped, planted = swap(samples, 0.05)
    truth = {row.image_id: (CLASSES[row.label], row.split) for row in samples.itertuples()}
    given = {row.image_id: CLASSES[row.label] for row in swapped.itertuples()}

    found = [issue for issue in find_issues(features, swapped, CLASSES, SEED).issues if issue.image_id in planted]

    assert found
    assert all((issue.suggested, issue.split) == truth[issue.image_id] for issue in found)
    assert all(issue.label == given[issue.image_id] for issue in found)


def test_the_least_likely_label_comes_first_and_the_suggested_one_is_likelier():
    features, samples = drawn(distance=2.0)
    found = find_issues(features, swap(samples, 0.1)[0], CLASSES, SEED).issues

    chances = [issue.label_probability for issue in found]
    assert len(found) > 20
    assert chances == sorted(chances)
    assert all(issue.suggested_probability > issue.label_probability for issue in found)


def test_hardly_a_label_is_doubtful_where_all_are_right():
    review = find_issues(*drawn(), CLASSES, SEED)

    assert (review.images, review.unjudged, review.folds, review.reason) == (600, 0, 5, None)
    assert len(review.issues) <= 6


def test_the_same_seed_gives_the_same_list():
    features, samples = drawn(distance=2.0)
    swapped, _ = swap(samples, 0.1)

    assert find_issues(features, swapped, CLASSES, SEED) == find_issues(features, swapped, CLASSES, SEED)


def test_no_image_is_judged_by_another_of_its_group():
    """Features that say nothing, each twice with one label: who has seen the one knows the other by heart."""
    generator = np.random.default_rng(0)
    features = np.repeat(generator.normal(0, 1, (150, 300)), 2, axis=0).astype(np.float32)
    labels = np.repeat(generator.integers(0, 2, 150), 2)

    def right(groups):
        said = out_of_fold_probabilities(features, labels, groups, 2, SEED)
        return float((said.argmax(axis=1) == labels).mean())

    assert right(np.arange(300)) > 0.8
    assert right(np.arange(300) // 2) < 0.65


def test_probabilities_are_those_of_all_classes():
    features, samples = drawn(count=20)
    said = out_of_fold_probabilities(features, samples["label"].to_numpy(), samples["group"].to_numpy(), 4, SEED)

    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-5)
    assert not said[:, 3].any()


def test_class_of_one_group_cannot_be_judged_and_the_others_are():
    features, samples = drawn(count=40)
    third = samples["label"] == 2
    review = find_issues(features, samples.assign(group=samples["group"].mask(third, "all")), CLASSES, SEED)

    assert (review.images, review.unjudged, review.reason) == (80, 40, None)
    assert {issue.label for issue in review.issues} <= {"a", "b"}


def test_class_of_three_images_is_judged():
    features, samples = drawn(count=40)
    few = np.r_[:80, 80:86:2]
    review = find_issues(features[few], samples.iloc[few], CLASSES, SEED)

    assert (review.images, review.folds, review.reason) == (83, 3, None)


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        ([1] * 10, range(10), "it takes images of two classes"),
        ([0] * 9 + [1], range(10), "it takes two images of each class, and two groups of images"),
        ([0, 1] * 5, [0] * 10, "it takes two images of each class, and two groups of images"),
        ([0] * 5 + [1] * 5, [0] * 5 + [1] * 5, "it takes two groups of images in two classes"),
    ],
    ids=["one class", "one image of a class", "one group", "a group each class"],
)
def test_what_cannot_be_held_out_gives_no_numbers(labels, groups, reason):
    review = find_issues(np.zeros((10, 4), np.float32), table(labels, groups), CLASSES, SEED)

    assert (review.reason, review.issues, review.images) == (reason, (), 0)


def test_features_that_never_change_say_nothing():
    assert find_issues(np.ones((20, 4), np.float32), table([0, 1] * 10), CLASSES, SEED).issues == ()


def test_class_that_is_not_there_gets_no_vote():
    labels = np.repeat([0, 2], 20)
    said = np.where(labels[:, None] == [0, 1, 2], 0.9, 0.05)
    said[3] = [0.05, 0.05, 0.9]

    assert rank_issues(labels, said).tolist() == [3]


@pytest.fixture
def reader(store, settings):
    """Of the drawn vectors as maps of one position, but for the last ten images."""
    features, samples = drawn(count=40, distance=8.0)
    for start in range(0, 110, 25):
        part = slice(start, min(start + 25, 110))
        write_shard(store, "features/x/0/", samples["image_id"][part].tolist(), features[part, None, None].astype("f2"))
    return FeatureReader(store, "features/x/0/", settings.store.cache_dir)


def test_images_without_a_map_are_counted_and_left_out(reader):
    swapped, planted = swap(drawn(count=40, distance=8.0)[1], 0.05)

    review = review_labels(reader, swapped, CLASSES, SEED)

    assert (review.images, review.missing, review.reason) == (110, 10, None)
    kept = planted & set(swapped["image_id"][:110])
    assert kept
    assert kept <= {issue.image_id for issue in review.issues}


def test_with_no_map_at_all_the_reason_is_said(store, settings):
    reader = FeatureReader(store, "features/none/0/", settings.store.cache_dir)
    review = review_labels(reader, drawn(count=5)[1], CLASSES, SEED)

    assert (review.missing, review.images, review.reason) == (15, 0, "no image has a cached feature map")
