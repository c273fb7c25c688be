from dataclasses import replace

import pytest

from ml.approval import Decided
from ml.orders import Order, find_order, store_order

ORDER = Order(
    "scheduled__2026", "vgg16", "digest", "a run", "Ann", "quiet site", "2026-01-02T03:04:00+00:00", "Airflow", 3, 3
)


@pytest.mark.parametrize(
    ("changes", "grounds"),
    [
        ({}, "Quiet site."),
        (
            {"missed": ("macro F1: 0.7, required at least 0.9", "recall: 0.1, required at least 0.5")},
            (
                "Against the gate: quiet site. Rules missed: macro F1: 0.7, required at least 0.9; recall: 0.1, "
                "required at least 0.5."
            ),
        ),
        (
            {"champion": 5},
            (
                "Against the gate: quiet site. Compared with another champion (version 3) than the one it replaces "
                "(version 5)."
            ),
        ),
        (
            {"overruled": "Rejected by Bob on 2026-01-01 at 12:00 UTC."},
            "Quiet site. Overruled: Rejected by Bob on 2026-01-01 at 12:00 UTC.",
        ),
    ],
    ids=["cleared", "rejected", "other-champion", "overruled"],
)
def test_it_says_what_it_goes_against(changes, grounds):
    order = replace(ORDER, **changes)

    assert order.grounds == grounds
    assert order.against_the_gate == ("Against the gate" in grounds)


@pytest.mark.parametrize(("through", "where"), [("Airflow", ""), ("command line", " on the command line")])
def test_it_says_who_decided_when_and_where(through, where):
    said = str(replace(ORDER, through=through))

    assert said == f"Ann decided{where} on 2026-01-02 at 03:04 UTC to promote it. Quiet site."


def test_it_is_found_as_it_was_kept_for_the_decision_it_was_made_on_only(store):
    order = replace(ORDER, missed=("macro F1",), champion=None)
    store_order(store, order)

    assert find_order(store, "scheduled__2026", Decided({}, "digest")) == order
    assert find_order(store, "scheduled__2026", Decided({}, "another")) is None
    assert find_order(store, "other", Decided({}, "digest")) is None
