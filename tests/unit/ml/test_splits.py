from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.config import SplitSettings
from ml.splits import EXCLUDED, SPLITS, assign_splits, count_by_split

QUIET = settings(max_examples=15, deadline=None, derandomize=True, database=None)
SETTINGS = SplitSettings()
#: Images as (label, group) pairs; a group may hold several images, and even several labels.
images = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), min_size=1, max_size=50)


def frame(pairs, splits=None):
    labels, groups = zip(*pairs, strict=True) if pairs else ((), ())
    data = {"label": labels, "group": [f"g{group}" for group in groups], "split": splits or [None] * len(labels)}
    return pd.DataFrame(data).astype({"label": "str", "group": "str"})


def single(counts, offset=0):
    """Images that are their own group: so many of each label."""
    return frame([(label, f"{label}{offset + i}") for label, count in counts.items() for i in range(count)])


def shares(manifest, splits):
    return pd.crosstab(manifest["label"], splits).reindex(columns=list(SPLITS), fill_value=0)


@QUIET
@given(images)
def test_every_image_gets_a_split_and_a_group_goes_whole_to_one(pairs):
    manifest = frame(pairs)
    splits = assign_splits(manifest, SETTINGS)

    assert set(splits) <= set(SPLITS)
    assert list(splits.index) == list(manifest.index)
    assert len(set(zip(manifest["group"], splits, strict=True))) == manifest["group"].nunique()


@QUIET
@given(images, images)
def test_a_split_once_given_never_changes(first, second):
    before = assign_splits(frame(first), SETTINGS)
    after = assign_splits(frame(first + second, [*before, *[None] * len(second)]), SETTINGS)

    assert list(after[: len(first)]) == list(before)


@QUIET
@given(images, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(pairs, random):
    rows = list(range(len(pairs)))
    random.shuffle(rows)
    manifest = frame(pairs)

    assert assign_splits(manifest, SETTINGS).to_dict() == assign_splits(manifest.iloc[rows], SETTINGS).to_dict()


@QUIET
@given(st.integers(3, 90), st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.8, 0.1, 0.1)]))
def test_every_label_is_shared_out_as_asked(count, asked):
    manifest = single({"a": count, "b": 2 * count})
    train, validation, test = asked
    found = shares(manifest, assign_splits(manifest, SplitSettings(train=train, validation=validation, test=test)))
    wanted = np.outer([count, 2 * count], asked)

    assert np.abs(found.to_numpy() - wanted).max() < 1.5


def test_shares_are_of_images_whatever_the_size_of_their_groups():
    manifest = frame([("a", group) for group in range(60) for _ in range(1 if group % 2 else 6)])
    found = shares(manifest, assign_splits(manifest, SETTINGS)).loc["a"]

    assert np.abs(found.to_numpy() - len(manifest) * np.array([0.7, 0.15, 0.15])).max() < 4


@pytest.mark.parametrize("batches", [[10] * 10, [1] * 25, [50, 3, 3, 3]])
def test_shares_hold_when_images_come_in_batches(batches):
    manifest = single({})
    for number, size in enumerate(batches):
        manifest = pd.concat([manifest, single({"a": size}, offset=1000 * number)], ignore_index=True)
        manifest["split"] = assign_splits(manifest, SETTINGS)
    counts = shares(manifest, manifest["split"]).loc["a"]

    assert np.abs(counts.to_numpy() - len(manifest) * np.array([0.7, 0.15, 0.15])).max() < 2


@pytest.mark.parametrize("count", [3, 4, 7])
def test_three_images_of_a_label_are_enough_for_every_split(count):
    manifest = single({"a": count, "b": 40})

    assert (shares(manifest, assign_splits(manifest, SETTINGS)) > 0).all(axis=None)


def test_an_image_of_a_known_group_follows_it():
    manifest = frame([("a", 1), ("a", 2), ("a", 1), ("b", 2)], ["test", "validation", None, None])

    assert list(assign_splits(manifest, SETTINGS)) == ["test", "validation", "test", "validation"]


def test_nothing_changes_when_nothing_arrives():
    manifest = frame([("a", 1), ("b", 2)], ["test", "train"])

    assert list(assign_splits(manifest, SETTINGS)) == ["test", "train"]


def test_another_seed_gives_another_split():
    manifest = single({"a": 60})

    assert list(assign_splits(manifest, SETTINGS)) != list(assign_splits(manifest, SplitSettings(seed=8)))


def test_a_group_in_two_splits_is_refused_by_name():
    with pytest.raises(ValueError, match="group g1 lies in more than one split"):
        assign_splits(frame([("a", 1), ("a", 1), ("a", 2)], ["train", "test", None]), SETTINGS)


def test_excluded_images_hold_their_group_in_no_split():
    manifest = single({"a": 40}).assign(group="whole")
    manifest["split"] = [*["excluded"] * 10, *[None] * 30]
    splits = assign_splits(manifest, SplitSettings())

    assert set(splits[:10]) == {"excluded"}
    assert len(set(splits[10:])) == 1
    assert set(splits[10:]) <= {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (None, {"a": [1, 0, 1], "b": [0, 1, 0], "c": [0, 0, 0]}),
        (("b", "d", "a"), {"b": [0, 1, 0], "d": [0, 0, 0], "a": [1, 0, 1]}),
    ],
    ids=["every label", "these classes"],
)
def test_images_are_counted_by_class_and_split(classes, expected):
    manifest = frame([(label, 0) for label in "abac"], ["train", "validation", "test", EXCLUDED])
    counts = count_by_split(manifest["label"], manifest["split"], classes)

    assert list(counts.columns) == list(SPLITS)
    assert [(label, list(row)) for label, row in counts.iterrows()] == list(expected.items())


def test_what_has_no_label_or_no_split_is_not_counted():
    labels, splits = pd.Series(["a", None, "a"], dtype="str"), pd.Series(["train", "train", None], dtype="str")

    assert count_by_split(labels, splits).to_dict("index") == {"a": {"train": 1, "validation": 0, "test": 0}}


def test_of_no_images_none_are_counted():
    manifest = frame([])

    assert count_by_split(manifest["label"], manifest["split"], ["a"]).to_numpy().tolist() == [[0, 0, 0]]
