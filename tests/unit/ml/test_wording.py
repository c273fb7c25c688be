from __future__ import annotations

import pytest

from ml.wording import bounds, number, short_id


@pytest.mark.parametrize(
    ("value", "is_share", "words"),
    [
        (0, False, "0"),
        (1234567, False, "1,234,567"),
        (254.04, False, "254.0"),
        (0.013791, False, "0.0138"),
        (0.2, True, "20 %"),
        (0.99, True, "99 %"),
        (0.0417, True, "4.17 %"),
        (0.00001, True, "0.001 %"),
    ],
)
def test_a_number_has_no_more_digits_than_say_something(value, is_share, words):
    assert number(value, is_share) == words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(1, None, "at least 1"), (None, 0.25, "at most 0.25"), (None, 0, "at most 0"), (0, 4, "from 0 to 4")],
)
def test_limits_are_said_in_words(low, high, words):
    assert bounds(low, high) == words


def test_a_digest_is_said_by_its_first_digits():
    assert short_id("0123456789ab" + "c" * 52) == "0123456789ab…"
    assert short_id("glioma") == "glioma"
