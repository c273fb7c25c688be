from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ml.coarse import coarse_measure, coarse_probabilities
from ml.config import MonitoringSettings
from ml.measures import PROPERTIES
from ml.promotions import load_changes, newest_change
from ml.reference import load_reference, rows_of_version
from ml.request_drift import NAMES, drifted, judge_drift
from ml.request_rows import decode_rows, encode_rows
from monitored import make_rows, make_version
from promoted import record_promotion


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    from ml.config import StoreSettings
    from ml.storage import open_store

    store = open_store(StoreSettings(url=str(tmp_path_factory.mktemp("reference"))))
    make_version(store, "m")
    return load_reference(store, newest_change(store, "m"))


def table(rows):
    return decode_rows([encode_rows(rows)] if rows else [])


def judged(reference, rows, **limits):
    return {finding.name: finding for finding in judge_drift(reference, table(rows), MonitoringSettings(**limits))}


def test_requests_like_the_training_data_are_within_every_limit(reference):
    found = judged(reference, make_rows(300, seed=5))

    assert list(found) == list(NAMES)
    assert {finding.status for finding in found.values()} == {"within"}


@pytest.mark.parametrize(
    ("drift", "expected"),
    [
        ({"shares": (0.05, 0.1, 0.75, 0.1)}, {"predicted classes", "probabilities"}),
        ({"brighter": 15.0}, {"brightness"}),
        ({"sureness": 1.0}, {"probabilities", "confidence"}),
    ],
    ids=["prior shift", "brighter images", "an unsure model"],
)
def test_what_was_planted_is_found_and_nothing_else(reference, drift, expected):
    found = judged(reference, make_rows(300, seed=5, **drift))

    assert set(drifted(list(found.values()))) == expected


def test_coarse_rows_do_not_differ_from_exact_ones(reference):
    """Rows whose images are kept are exact, as the reference is; all others are coarse."""
    rows = make_rows(300, seed=5)
    coarse = [coarsened(row) for row in rows]
    assert coarse[0].width in {260, 510}

    exact, found = judged(reference, rows), judged(reference, coarse)

    assert found == exact
    mixed = judged(reference, rows[:150] + coarse[150:])
    assert mixed == exact


@pytest.mark.parametrize(
    ("drift", "expected"),
    [
        ({"shares": (0.05, 0.1, 0.75, 0.1)}, {"predicted classes", "probabilities"}),
        ({"brighter": 15.0}, {"brightness"}),
        ({"sureness": 1.0}, {"probabilities", "confidence"}),
    ],
    ids=["prior shift", "brighter images", "an unsure model"],
)
def test_what_was_planted_is_found_in_coarse_rows(reference, drift, expected):
    rows = [coarsened(row) for row in make_rows(300, seed=5, **drift)]

    assert set(drifted(list(judged(reference, rows).values()))) == expected


def coarsened(row):
    measures = {name: int(coarse_measure(name, [getattr(row, name)])[0]) for name in PROPERTIES}
    return replace(row, **measures, probabilities=tuple(coarse_probabilities(row.probabilities)))


def test_a_change_that_is_sure_but_small_is_within_the_limit(reference):
    found = judged(reference, make_rows(1200, seed=5, brighter=4.0))["brightness"]

    assert found.p_value < 0.001
    assert 0.05 < found.value < 0.2
    assert found.status == "within"
    assert (
        judged(reference, make_rows(1200, seed=5, brighter=4.0), max_input_drift=0.05)["brightness"].status == "beyond"
    )


@pytest.mark.slow
def test_without_a_limit_looks_at_unchanged_requests_raise_alarms_at_the_configured_rate(reference):
    """Of 250 looks at a level of 10 %, more than 40 with an alarm would be a chance of one in a thousand."""
    limits = {"false_alarm_share": 0.1, "max_prediction_drift": 0.0, "max_input_drift": 0.0}

    looks = [bool(drifted(list(judged(fresh(seed), make_rows(120, 1000 + seed), **limits).values())))
             for seed in range(250)]  # fmt: skip

    assert 5 <= sum(looks) <= 40


def fresh(seed):
    """A reference of its own for each look: against one and the same, looks would err together."""
    from ml.request_drift import Reference
    from monitored import CLASSES, draw_answers, draw_measures

    return Reference(CLASSES, draw_answers(200, 5000 + seed), pd.DataFrame(draw_measures(200, 9000 + seed)))


def test_of_few_requests_nothing_is_claimed(reference):
    found = judged(reference, make_rows(99, seed=5, brighter=90.0))

    assert {finding.status for finding in found.values()} == {"unknown"}
    assert found["brightness"].measured == "99 logged measured images in the window, at least 100 tell something"


def test_arrays_tell_of_answers_only(reference):
    bare = [row.__class__(**{**vars(row), **dict.fromkeys(("width", "height", "bytes", "format", "brightness",
                          "contrast", "sharpness"))}) for row in make_rows(200, seed=5)]  # fmt: skip

    found = judged(reference, bare)

    assert found["probabilities"].status == "within"
    assert found["brightness"].measured.startswith("0 logged measured images")


def test_images_that_could_not_be_decoded_have_no_answer_to_compare(reference):
    broken = [row.__class__(**{**vars(row), "status": "UNDECODABLE", "class_id": -1, "probabilities": (0.0,) * 4})
              for row in make_rows(150, seed=6)]  # fmt: skip

    found = judged(reference, make_rows(200, seed=5) + broken)

    assert found["predicted classes"].status == "within"
    assert found["probabilities"].status == "within"


def test_answers_of_another_number_of_classes_are_not_compared(reference):
    odd = [row.__class__(**{**vars(row), "probabilities": (0.5, 0.5)}) for row in make_rows(150, seed=5)]

    assert judged(reference, odd)["probabilities"].measured.startswith("answers that are not of 4 classes")


def test_without_a_reference_everything_is_unknown():
    found = judge_drift("it is gone", table([]), MonitoringSettings())

    assert {(finding.status, finding.measured) for finding in found} == {("unknown", "it is gone")}


def test_the_reference_is_the_test_images_answers_and_the_split_images(reference):
    assert reference.probabilities.shape == (300, 4)
    assert len(reference.images) == 900
    np.testing.assert_allclose(reference.probabilities.sum(axis=1), 1)


def test_a_reference_that_is_gone_is_said(store):
    make_version(store, "m")
    store.delete("snapshots/s1/snapshot.json")

    assert load_reference(store, newest_change(store, "m")).startswith("what version 1 was made from is gone")


def test_rows_without_a_version_are_those_of_the_label_at_the_time(store):
    make_version(store, "m", 1)
    changes = load_changes(store, "m")
    untold = make_rows(3, seed=1, version=None)
    record_promotion(store, "m", "run-2", "one", 2, at=untold[1].at)

    rows = table([*untold, *make_rows(2, seed=2, version=1), *make_rows(2, seed=2, version=None, label=None)])

    assert len(rows_of_version(rows, 1, changes)) == 5
    assert len(rows_of_version(rows, 1, load_changes(store, "m"))) == 3
    assert len(rows_of_version(rows, 2, load_changes(store, "m"))) == 2
    assert len(rows_of_version(table([]), 1, changes)) == 0
