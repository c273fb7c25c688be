from __future__ import annotations

import pandas as pd

from ml.config import ValidationSettings
from ml.measures import Arrivals, count_arrivals, measure_shares


def test_objects_are_counted_by_what_became_of_them():
    ledger = pd.DataFrame({"reason": [None, None, None, None, "truncated", "empty", "empty"]})
    manifest = pd.DataFrame({"split": ["train", "excluded", "test"]})
    arrivals = count_arrivals(ledger, manifest)

    assert arrivals == Arrivals(7, images=3, duplicates=1, excluded=1, quarantined={"empty": 2, "truncated": 1})
    assert arrivals.refused == 3


def test_shares_are_of_what_arrived_and_of_everything():
    now, overall = Arrivals(10, 4, 4, 0, {"empty": 2}), Arrivals(100, 80, 10, 8, {"empty": 10})
    measures = measure_shares(now, overall, ValidationSettings())

    assert {measure.name: measure.value for measure in measures} == {
        "arrived_quarantined_share": 0.2,
        "quarantined_share": 0.1,
        "arrived_duplicated_share": 0.4,
        "excluded_share": 0.1,
    }


def test_a_share_of_nothing_has_no_value():
    nothing = Arrivals(0, 0, 0, 0, {})

    assert {measure.value for measure in measure_shares(nothing, nothing, ValidationSettings())} == {None}
