from __future__ import annotations

import io
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.errors import DataError
from ml.manifest import (
    LEDGER,
    MANIFEST,
    classes_of,
    empty,
    encode,
    from_parquet,
    in_order,
    snapshot_digest,
    to_arrow,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
VALUES = {
    "bytes": 1000,
    "width": 48,
    "height": 40,
    "channels": 3,
    "brightness": 1.5,
    "contrast": 0.1 + 0.2,
    "sharpness": 9e99,
    "ingested_at": NOW,
    "last_modified": NOW,
    "split": "train",
}


def table(schema, ids, **values):
    """A row for each id; other columns hold the id behind their name."""
    names = schema.columns.names
    rows = [
        {name: f"{name}-{one}" for name in names} | {k: VALUES[k] for k in VALUES.keys() & set(names)} for one in ids
    ]
    return pd.DataFrame(rows)[names].assign(**values)


def arranged(frame, schema):
    return in_order(to_arrow(frame, schema), schema)


def to_parquet(frame, schema):
    return encode(arranged(frame, schema), schema)


def digest_of(manifest, ledger, attributes=None):
    return snapshot_digest(arranged(manifest, MANIFEST), arranged(ledger, LEDGER), attributes)


@pytest.fixture(params=[LEDGER, MANIFEST], ids=["ledger", "manifest"])
def schema(request):
    return request.param


def test_a_table_comes_back_as_it_was(schema):
    frame = table(schema, "abc")

    pd.testing.assert_frame_equal(from_parquet(to_parquet(frame, schema), schema), frame, check_dtype=False)


def test_a_table_comes_back_in_the_types_of_its_schema(schema):
    stored = pq.read_schema(io.BytesIO(to_parquet(table(schema, "abc"), schema)))

    assert stored.remove_metadata().equals(schema.columns)


def test_values_that_may_be_missing_come_back_missing():
    gaps = ["label", "reason", "image_id", "pixel_id", "uri", "width", "format", "brightness"]
    frame = from_parquet(to_parquet(table(LEDGER, "ab", **dict.fromkeys(gaps)), LEDGER), LEDGER)

    assert frame[gaps].isna().all(axis=None)
    assert frame.drop(columns=gaps).notna().all(axis=None)


def test_equal_tables_give_equal_bytes_whatever_their_order(schema):
    frame = table(schema, "abcd")

    assert to_parquet(frame, schema) == to_parquet(frame.iloc[::-1][frame.columns[::-1]], schema)


def test_a_table_without_rows_comes_back(schema):
    assert from_parquet(to_parquet(empty(schema), schema), schema).empty
    assert list(empty(schema)) == schema.columns.names


def test_missing_and_unknown_columns_are_named(schema):
    frame = table(schema, "ab").rename(columns={"width": "breadth"})

    with pytest.raises(DataError, match=f"The {schema.name} has missing or unknown columns: breadth, width"):
        to_parquet(frame, schema)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": "wide"}, "width"),
        ({"width": 2**40}, "not in range"),
        ({"uri": None}, "uri"),
        ({"label": 3}, "label"),
    ],
    ids=["text", "too large", "missing", "number"],
)
def test_a_value_that_does_not_fit_is_refused(values, message):
    with pytest.raises(DataError, match=f"The manifest does not fit its schema: .*{message}"):
        to_parquet(table(MANIFEST, "ab", **values), MANIFEST)


def test_a_stored_table_of_another_version_is_refused(schema):
    stream = io.BytesIO()
    pq.write_table(pa.table({"image": ["a"], "label": ["b"]}), stream)

    with pytest.raises(DataError, match=f"The stored {schema.name} has the columns image, label.* another version"):
        from_parquet(stream.getvalue(), schema)


@pytest.fixture
def digest():
    """Digest of a snapshot of which some columns are changed."""

    def of(manifest=(), ledger=()):
        return digest_of(table(MANIFEST, "abc", **dict(manifest)), table(LEDGER, "abc", **dict(ledger)))

    return of


@pytest.mark.parametrize("column", ["image_id", "label", "group", "split", "excluded"])
def test_the_digest_depends_on_what_the_images_are(digest, column):
    assert digest(manifest={column: "other"}) != digest()


@pytest.mark.parametrize("column", ["source_key", "etag", "label", "reason", "release"])
def test_the_digest_depends_on_the_objects_seen(digest, column):
    assert digest(ledger={column: "other"}) != digest()


def test_the_digest_does_not_depend_on_when_the_images_came(digest):
    later = {"ingested_at": datetime(2027, 1, 1, tzinfo=UTC), "snapshot": "000002-abc"}

    assert digest(manifest=later, ledger=later) == digest()


def test_the_digest_does_not_depend_on_the_order_of_rows_or_on_storing():
    manifest, ledger = table(MANIFEST, "abc"), table(LEDGER, "abc", reason=[None, "empty", None])
    stored = (
        from_parquet(to_parquet(frame, schema), schema) for frame, schema in ((manifest, MANIFEST), (ledger, LEDGER))
    )
    digest = digest_of(manifest, ledger)

    assert digest_of(manifest.iloc[::-1], ledger.iloc[::-1]) == digest
    assert digest_of(*stored) == digest


def test_the_digest_is_the_same_in_every_release(digest):
    # Snapshot ids rest on it: another value makes every store grow a new snapshot from unchanged images.
    assert digest() == "ab645cc662adda91fc1615b22317d3d1d6e543e30f390eda2c0bf92fd9e25f6b"


def test_classes_are_those_declared_or_those_found_in_order(make_settings):
    manifest = pd.DataFrame({"label": ["b", "a", "b", "c"]})

    assert classes_of(manifest, make_settings()) == ("a", "b", "c")
    assert classes_of(manifest, make_settings({"classes": ["c", "z", "a"]})) == ("c", "z", "a")


def test_attributes_count_in_the_digest_of_a_snapshot():
    tables = table(MANIFEST, ["1"]), table(LEDGER, ["1"])
    some, others = (pa.table({"image_id": ["1"], "site": [site]}) for site in ("Ulm", "Bonn"))

    assert len({digest_of(*tables), digest_of(*tables, some), digest_of(*tables, others)}) == 3
