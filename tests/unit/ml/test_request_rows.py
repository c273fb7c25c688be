import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ml.config import ImageSettings
from ml.images import inspect_image
from ml.request_rows import SCHEMA, Answer, decode_rows, describe_request, encode_rows
from tiny_pictures import draw

ANSWER = Answer(datetime(2026, 3, 1, tzinfo=UTC), 3, "stable", 1, "b", (0.25, 0.75), "OK", 12.5)
PICTURE = draw(1, size=64)


def test_measures_are_those_of_ingest():
    row, seen = describe_request(ANSWER, PICTURE, ImageSettings(), keep=True), inspect_image(PICTURE, ImageSettings())

    for name in ("width", "height", "format", "brightness", "contrast", "sharpness"):
        assert getattr(row, name) == getattr(seen, name)
    assert row.bytes == len(PICTURE)
    assert (row.version, row.label, row.class_id, row.probabilities) == (3, "stable", 1, (0.25, 0.75))


def test_without_the_picture_nothing_exact_is_kept_of_it():
    exact = replace(ANSWER, probabilities=(0.24683, 0.75317))

    row, seen = describe_request(exact, PICTURE, ImageSettings()), inspect_image(PICTURE, ImageSettings())

    assert row.probabilities == (0.25, 0.75)
    assert row.bytes != len(PICTURE)
    assert row.bytes == float(f"{len(PICTURE):.1e}")
    assert row.brightness == round(seen.brightness) != seen.brightness
    assert row.contrast == round(seen.contrast) != seen.contrast
    assert row.sharpness == float(f"{seen.sharpness:.1e}") != seen.sharpness
    assert describe_request(exact, b"no picture" * 99, ImageSettings()).bytes == 990
    assert describe_request(exact, b"no picture" * 101, ImageSettings()).bytes == 1000


def test_a_picture_is_named_only_where_it_is_kept():
    plain, kept = (describe_request(ANSWER, PICTURE, ImageSettings(), keep=keep) for keep in (False, True))

    assert (plain.image_id, plain.pixel_id) == (None, None)
    assert kept.image_id == hashlib.sha256(PICTURE).hexdigest()
    assert hashlib.sha256(PICTURE).hexdigest().encode() not in encode_rows([plain])


@pytest.mark.parametrize("image", [None, b"no picture"], ids=["an array", "broken bytes"])
def test_what_cannot_be_measured_has_an_answer_all_the_same(image):
    row = describe_request(ANSWER, image, ImageSettings(), keep=True)

    assert (row.brightness, row.image_id) == (None, None)
    assert row.bytes == (len(image) if image else None)
    assert row.milliseconds == 12.5


def test_rows_come_back_as_they_were():
    rows = [describe_request(ANSWER, PICTURE, ImageSettings()), describe_request(replace(ANSWER, version=None), None,
                                                                                 ImageSettings())]  # fmt: skip
    table = decode_rows([encode_rows(rows), encode_rows(rows[:1])])

    assert list(table.columns) == SCHEMA.names
    assert len(table) == 3
    assert table["at"][0] == ANSWER.at
    assert list(table["probabilities"][0]) == [0.25, 0.75]
    assert table["version"].isna().tolist() == [False, True, False]


def test_no_parts_are_a_table_without_rows():
    assert list(decode_rows([]).columns) == SCHEMA.names
