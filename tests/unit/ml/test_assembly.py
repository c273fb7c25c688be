from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from ml.assembly import join_ledgers, settle_conflicts
from ml.manifest import LEDGER, empty

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def ledger(*rows):
    """Of (key, pixels, label, reason, release) rows."""
    base = {"etag": "e", "last_modified": NOW, "bytes": 1, "ingested_at": NOW, "snapshot": ""}
    names = ("source_key", "pixel_id", "label", "reason", "release")
    return pd.DataFrame(
        [dict.fromkeys(LEDGER.columns.names) | base | dict(zip(names, one, strict=True)) for one in rows]
    )


def reasons(table):
    settled = settle_conflicts(table)
    return {
        key: None if pd.isna(why) else why for key, why in zip(settled["source_key"], settled["reason"], strict=True)
    }


def test_pixels_under_one_label_are_accepted():
    assert reasons(ledger(("1", "p", "a", None, None), ("2", "p", "a", None, None), ("3", "q", "b", None, None))) == {
        "1": None,
        "2": None,
        "3": None,
    }


def test_pixels_under_two_labels_are_refused_wherever_they_are():
    table = ledger(("1", "p", "a", None, None), ("2", "p", "b", None, None), ("3", "q", "b", None, None))

    assert reasons(table) == {"1": "label_conflict", "2": "label_conflict", "3": None}


def test_a_conflict_ends_when_the_labels_agree():
    refused = "label_conflict"

    assert reasons(ledger(("1", "p", "a", refused, None), ("2", "p", "a", refused, None))) == {"1": None, "2": None}


def test_a_release_says_which_label_is_right():
    table = ledger(("1", "p", "a", None, "r1"), ("2", "p", "b", "label_conflict", None), ("3", "p", "a", None, None))

    assert reasons(table) == {"1": None, "2": "label_conflict", "3": None}


def test_the_latest_release_counts():
    table = ledger(("1", "p", "a", None, "2026-1"), ("2", "p", "b", None, "2026-2"))

    assert reasons(table) == {"1": "label_conflict", "2": None}


@pytest.mark.parametrize("reason", ["truncated", "unknown_label"])
def test_other_reasons_stay(reason):
    table = ledger(("1", None, "a", reason, None), ("2", None, "b", reason, None), ("3", "p", "b", None, None))

    assert reasons(table) == {"1": reason, "2": reason, "3": None}


def test_of_rows_for_one_version_of_an_object_the_last_counts():
    old, new = ledger(("1", "p", "a", None, None), ("2", "q", "a", None, None)), ledger(("1", "p", "b", None, None))
    joined = join_ledgers(old, new)

    assert joined.sort_values("source_key")["label"].tolist() == ["b", "a"]


def test_columns_keep_their_types_where_one_ledger_has_none():
    joined = join_ledgers(empty(LEDGER), ledger(("1", None, None, "empty", None)))

    assert joined.dtypes.astype(str)[["source_key", "ingested_at"]].tolist() == ["str", "datetime64[us, UTC]"]


@pytest.mark.parametrize(
    "place",
    [("g", "test", None), ("h", "excluded", "linked to images in train and test")],
    ids=["in a split", "excluded"],
)
def test_object_that_is_taken_in_again_keeps_its_place(place):
    names = ["group", "split", "excluded"]
    old = ledger(("1", "p", "a", None, None), ("2", "q", "a", None, None)).assign(
        **{name: [value, None] for name, value in zip(names, place, strict=True)}
    )

    joined = join_ledgers(old, ledger(("1", "p", "b", None, None), ("3", "r", "b", None, None))).set_index("source_key")

    assert joined.loc["1", "label"] == "b"
    assert tuple(None if pd.isna(value) else value for value in joined.loc["1", names]) == place
    assert joined.loc[["2", "3"], names].isna().all(axis=None)
