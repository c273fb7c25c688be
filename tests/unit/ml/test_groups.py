from __future__ import annotations

from itertools import combinations, pairwise

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.config import DuplicateSettings, ImageSettings, SplitSettings
from ml.groups import assign_groups
from ml.images import inspect_image
from ml.phantom import draw_phantom
from ml.splits import EXCLUDED, SPLITS, assign_splits

QUIET = settings(max_examples=25, deadline=None, derandomize=True, database=None)
SETTINGS = DuplicateSettings(max_distance=4)
OFF = DuplicateSettings(max_distance=None)


def bits(count, first=0):
    """A hash with so many bits set, from one bit on."""
    return ((1 << count) - 1) << first


def images(**rows):
    """Images by name, each (hash, explicit group, group, split); the last two are left out for what arrives."""
    columns = ["perceptual_hash", "explicit_group", "group", "split", "excluded"]
    table = [[f"{row[0]:016x}", *row[1:], *[None] * (5 - len(row))] for row in rows.values()]
    index = pd.Index([name.ljust(64, "-") for name in rows], name="pixel_id")
    return pd.DataFrame(table, index, columns, dtype=object).assign(label="a")


def grouped(settings=SETTINGS, /, **rows):
    """Group and split of each image, the group by its name's beginning."""
    result = assign_groups(images(**rows), settings)
    return {
        name: (group.rstrip("-"), None if pd.isna(split) else split)
        for name, group, split in zip(rows, result["group"], result["split"], strict=True)
    }


def test_a_lone_image_is_a_group_named_after_its_pixels():
    assert grouped(one=(0,), two=(bits(32),)) == {"one": ("one", None), "two": ("two", None)}


@pytest.mark.parametrize(("distance", "together"), [(4, True), (5, False)], ids=["at-the-limit", "beyond-it"])
def test_images_are_alike_up_to_the_distance_that_is_set(distance, together):
    groups = grouped(one=(0,), two=(bits(distance),))

    assert (groups["one"] == groups["two"]) is together


def test_a_chain_of_like_images_is_one_group_named_after_its_smallest_pixel_id():
    groups = grouped(c=(bits(8),), b=(bits(4),), a=(bits(12),))

    assert groups == dict.fromkeys("abc", ("a", None))


@pytest.mark.parametrize("settings", [SETTINGS, OFF], ids=["near-duplicates-on", "near-duplicates-off"])
def test_images_of_one_explicit_group_belong_together_however_they_look(settings):
    groups = grouped(settings, a=(0, "patient"), b=(bits(40), "patient"))

    assert groups == dict.fromkeys("ab", ("patient", None))


def test_equal_hashes_mean_nothing_when_near_duplicates_are_not_looked_for():
    assert grouped(OFF, a=(0,), b=(0,)) == {"a": ("a", None), "b": ("b", None)}


def test_like_images_of_different_explicit_groups_stay_apart():
    assert grouped(a=(0, "p"), b=(0, "q"), c=(1, "r")) == {"a": ("p", None), "b": ("q", None), "c": ("r", None)}


def test_an_image_without_an_explicit_group_connects_two_that_have_one():
    assert grouped(a=(0, "q"), b=(1,), c=(2, "p")) == dict.fromkeys("abc", ("p", None))


@pytest.mark.parametrize("explicit", [None, "patient"], ids=["unnamed", "named"])
def test_a_like_image_follows_a_placed_one(explicit):
    groups = grouped(new=(1, explicit), old=(0, None, "old", "test"))

    assert groups["new"] == groups["old"] == (explicit or "new", "test")


def test_images_of_a_placed_explicit_group_follow_it():
    assert grouped(new=(bits(40), "p"), old=(0, "p", "p", "test"))["new"] == ("p", "test")


def test_an_image_that_is_only_connected_through_another_arriving_one_follows_too():
    assert grouped(old=(0, None, "old", "test"), near=(bits(4),), far=(bits(8),))["far"][1] == "test"


def test_groups_of_one_split_become_one_when_an_arriving_image_connects_them():
    placed = {"a": (0, None, "a", "test"), "b": (bits(8), None, "b", "test"), "c": (bits(8, 50), None, "c", "test")}

    assert grouped(**placed, d=(bits(4),)) == {**dict.fromkeys("abd", ("a", "test")), "c": ("c", "test")}


def test_placed_groups_stay_as_they_are_where_nothing_arrives():
    placed = {"a": (0, None, "a", "test"), "b": (1, None, "b", "train"), "c": (2, None, "c", "test")}

    assert grouped(**placed, d=(bits(40),)) == {
        "a": ("a", "test"),
        "b": ("b", "train"),
        "c": ("c", "test"),
        "d": ("d", None),
    }


def test_an_image_like_images_of_two_splits_is_excluded_with_the_reason():
    table = images(a=(0, None, "a", "test"), b=(bits(8), None, "b", "train"), c=(bits(4),))
    result = assign_groups(table, SETTINGS).set_axis(list("abc"))

    assert result["split"].tolist() == ["test", "train", EXCLUDED]
    assert result["excluded"].fillna("").tolist() == ["", "", "linked to images in train and test"]


def test_three_splits_are_all_named():
    placed = {split: (1 << number, None, split, split) for number, split in enumerate(SPLITS)}
    result = assign_groups(images(**placed, new=(0,)), SETTINGS)

    assert result["excluded"].iloc[-1] == "linked to images in train, validation and test"


def test_without_the_image_between_two_splits_its_neighbours_are_judged_again():
    placed = {"a": (0, None, "a", "test"), "b": (bits(8), None, "b", "train")}
    groups = grouped(**placed, between=(bits(4),), far=(bits(4) | bits(3, 20),))

    assert (groups["between"][1], groups["far"]) == (EXCLUDED, ("far", None))


def test_a_chain_between_two_splits_is_excluded_whole():
    placed = {"a": (0, None, "a", "test"), "b": (bits(16), None, "b", "train")}
    groups = grouped(**placed, c=(bits(4),), d=(bits(8),), e=(bits(12),))

    assert [groups[name][1] for name in "abcde"] == ["test", "train", *[EXCLUDED] * 3]


def test_images_of_a_placed_explicit_group_follow_it_when_a_chain_leads_elsewhere():
    placed = {"a": (bits(40), "p", "p", "test"), "b": (bits(8), None, "b", "train")}
    groups = grouped(**placed, c=(0, "p"), d=(bits(4),))

    assert (groups["c"], groups["d"][1]) == (("p", "test"), EXCLUDED)


def test_an_image_of_a_placed_explicit_group_is_excluded_if_it_is_like_one_of_another_split():
    placed = {"a": (bits(40), "p", "p", "test"), "b": (bits(4), None, "b", "train")}
    groups = grouped(**placed, c=(0, "p"), d=(bits(40, 20), "p"))

    assert (groups["c"][1], groups["d"][1]) == (EXCLUDED, "test")


def test_an_explicit_group_that_links_to_two_splits_is_excluded():
    placed = {"a": (0, None, "a", "test"), "b": (bits(40), None, "b", "train")}
    groups = grouped(**placed, c=(1, "p"), d=(bits(41), "p"))

    assert (groups["c"][1], groups["d"][1]) == (EXCLUDED, EXCLUDED)


def test_another_patient_who_looks_alike_in_another_split_excludes_nothing():
    placed = {"a": (0, "p", "p", "test"), "b": (bits(40), "q", "q", "train")}

    assert grouped(**placed, c=(0, "q"))["c"] == ("q", "train")


def test_an_image_like_a_patient_who_lies_in_two_splits_already_is_excluded():
    placed = {"a": (0, "p", "a", "test"), "b": (bits(40), "p", "b", "train")}

    assert grouped(**placed, c=(1,))["c"][1] == EXCLUDED


def test_excluded_images_link_nothing():
    placed = {"a": (0, "p", "a", EXCLUDED, "linked to images in train and test")}

    assert grouped(**placed, b=(bits(4),), c=(bits(4, 4),), d=(bits(40), "p")) == {
        "a": ("a", EXCLUDED),
        "b": ("b", None),
        "c": ("c", None),
        "d": ("p", None),
    }


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda pixels: pixels, [cv2.IMWRITE_JPEG_QUALITY, 60]),
        (lambda pixels: cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), []),
        (lambda pixels: cv2.convertScaleAbs(pixels, alpha=0.8, beta=10), []),
    ],
    ids=["compressed", "smaller", "fainter"],
)
def test_a_picture_saved_again_is_in_the_group_of_the_first_by_default(change, options):
    picture, other = (draw_phantom("glioma", index, 0)[0] for index in range(2))
    files = [cv2.imencode(".png", picture), cv2.imencode(".jpg", change(picture), options), cv2.imencode(".png", other)]
    found = [inspect_image(data.tobytes(), ImageSettings()) for _, data in files]
    table = images(**{image.pixel_id: (int(image.perceptual_hash, 16),) for image in found})
    groups = assign_groups(table, DuplicateSettings())["group"].tolist()

    assert found[0].pixel_id != found[1].pixel_id
    assert (groups[0] == groups[1], groups[0] == groups[2]) == (True, False)


def test_no_images_are_no_groups():
    assert assign_groups(images(), SETTINGS).empty


#: Images as (hash, explicit group) in a narrow space of hashes, so that many are alike and chains form.
hashes = st.sets(st.integers(0, 6), max_size=5).map(lambda places: sum(bits(3, 9 * place) for place in places))
arrivals = st.lists(st.tuples(hashes, st.sampled_from([None, None, None, "p", "q", "r", "s"])), max_size=14)
batches = st.lists(arrivals, min_size=1, max_size=4)


def take_in(table, arriving, settings=SETTINGS, seed=7):
    table = pd.concat([table, arriving])
    table[["group", "split", "excluded"]] = assign_groups(table, settings)
    return table.assign(split=assign_splits(table, SplitSettings(seed=seed)))


def numbered(pairs, offset=0):
    return images(**{f"{7 * number % 10}.{number}": pair for number, pair in enumerate(pairs, offset)})


def states(lots, settings=SETTINGS):
    """The table after each batch; another seed a batch, so that only links keep images together."""
    table, found = numbered([]), []
    for number, lot in enumerate(lots):
        table = take_in(table, numbered(lot, len(table)), settings, seed=number)
        found.append(table)
    return found


def like(one, two):
    near = (int(one.perceptual_hash, 16) ^ int(two.perceptual_hash, 16)).bit_count() <= SETTINGS.max_distance
    explicit = {group for group in (one.explicit_group, two.explicit_group) if pd.notna(group)}
    return near and len(explicit) < 2


def in_splits(table):
    return table[table["split"].isin(SPLITS)]


@QUIET
@given(batches)
def test_neither_a_group_nor_an_explicit_group_straddles_splits(lots):
    table = in_splits(states(lots)[-1])

    assert table.groupby("group")["split"].nunique().le(1).all()
    assert table.groupby("explicit_group")["split"].nunique().le(1).all()
    assert table.groupby("explicit_group")["group"].nunique().le(1).all()


@QUIET
@given(batches)
def test_like_images_never_lie_in_two_splits_whichever_batches_they_came_in(lots):
    rows = in_splits(states(lots)[-1]).itertuples()
    pairs = [(one, two) for one, two in combinations(rows, 2) if like(one, two)]

    assert all(one.split == two.split and one.group == two.group for one, two in pairs)


@QUIET
@given(arrivals, batches)
def test_images_placed_before_near_duplicates_were_looked_for_draw_nothing_into_two_splits(old, lots):
    table = states([old], OFF)[-1]
    known = set(table.index)
    for lot in lots:
        table = take_in(table, numbered(lot, len(table)))
    pairs = [pair for pair in combinations(in_splits(table).itertuples(), 2) if like(*pair)]

    assert all(one.split == two.split for one, two in pairs if not {one.Index, two.Index} <= known)


@QUIET
@given(batches)
def test_no_image_ever_changes_its_split_or_why_it_is_excluded(lots):
    found = states(lots)

    for before, after in pairwise(found):
        columns = ["split", "excluded"]
        assert after.loc[before.index, columns].fillna("").equals(before[columns].fillna(""))


@QUIET
@given(arrivals, arrivals, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(first, second, random):
    before = states([first])[-1]
    table = pd.concat([before, numbered(second, len(first))])
    rows = list(range(len(table)))
    random.shuffle(rows)
    shuffled = assign_groups(table.iloc[rows], SETTINGS)

    pd.testing.assert_frame_equal(shuffled.loc[table.index], assign_groups(table, SETTINGS))


@QUIET
@given(batches)
def test_an_image_is_excluded_exactly_if_a_reason_is_given(lots):
    table = states(lots)[-1]

    assert ((table["split"] == EXCLUDED) == table["excluded"].notna()).all()


@QUIET
@given(arrivals)
def test_nothing_is_excluded_when_nothing_is_placed(lot):
    assert assign_groups(numbered(lot), SETTINGS)["split"].isna().all()


def test_splits_get_their_shares_when_groups_come_in_batches():
    random = np.random.default_rng(0)
    lots = []
    for _ in range(5):
        scans = random.integers(0, 2**63, 60).tolist()
        lots.append([(scan ^ 1 << number, None) for scan in scans for number in range(int(random.integers(1, 5)))])
    table = states(lots)[-1]
    counts = table["split"].value_counts().reindex(list(SPLITS))

    assert np.abs(counts.to_numpy() - len(table) * np.array([0.7, 0.15, 0.15])).max() <= 4  # the largest group
    assert table["group"].nunique() == 300
