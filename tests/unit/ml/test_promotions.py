from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from ml.errors import ConflictError, DataError
from ml.promotions import (
    Champion,
    Change,
    append_change,
    champion_of,
    change_after,
    find_champion,
    load_changes,
    newest_change,
    promotion_of,
    rollback_target,
    served_at,
)
from ml.serving_state import ServingState
from promoted import NOON, record_promotion


def change(number, action, version, serving, by="gate"):
    when = NOON + timedelta(minutes=number)
    return Change(number, action, version, serving, f"run-{version}", "vgg16", "000001", by, "why", when.isoformat())


def history(*steps):
    """Changes from pairs of an action and a version, each on top of the one before."""
    changes, state = [], ServingState()
    for number, (action, version) in enumerate(steps, 1):
        if action == "rollback":
            state = state.roll_back(version, rollback_target(changes, version))
        else:
            state = getattr(state, {"canary": "begin_canary"}.get(action, action))(version)
        changes.append(change(number, action, version, state))
    return changes


def test_the_newest_record_says_what_serves(store):
    assert newest_change(store, "m") is None
    for version in (1, 2):
        record_promotion(store, "m", f"run-{version}", "vgg16", version)

    assert newest_change(store, "m").serving == ServingState(2, None, 1)
    assert [one.number for one in load_changes(store, "m")] == [1, 2]
    assert find_champion(store, "m") == Champion(2, "run-2", "vgg16")


def test_models_have_records_of_their_own(store):
    record_promotion(store, "m", "run-1", "vgg16")

    assert find_champion(store, "other") is None


def test_the_next_record_is_found_by_its_number(store):
    first = record_promotion(store, "m", "run-1", "vgg16")

    assert change_after(store, "m", 0) == first
    assert change_after(store, "m", 1) is None


def test_of_many_who_append_at_once_one_wins(store):
    attempts = [change(1, "promote", version, ServingState(version)) for version in range(1, 9)]

    def append(one):
        try:
            return append_change(store, "m", one)
        except ConflictError:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [one for one in pool.map(append, attempts) if one]
    assert won == load_changes(store, "m")
    assert len(won) == 1


def test_a_record_whose_answer_was_lost_is_appended_once(store):
    one = change(1, "promote", 1, ServingState(1))

    assert append_change(store, "m", one) == append_change(store, "m", one)
    assert load_changes(store, "m") == [one]


def test_a_record_that_is_none_is_named(store):
    store.put("promotions/m/00000001.json", b'{"version": 1}')

    with pytest.raises(DataError, match=r"00000001\.json is no record of a promotion: KeyError: 'serving'"):
        newest_change(store, "m")


def test_what_served_at_a_time_is_on_record():
    changes = history(("promote", 1), ("canary", 2), ("promote", 2))

    assert served_at(changes, NOON) is None
    assert served_at(changes, NOON + timedelta(minutes=2, seconds=59)).serving.stable == 1
    assert served_at(changes, NOON + timedelta(days=1)).serving.stable == 2


def test_a_canary_is_no_promotion():
    changes = history(("promote", 1), ("canary", 2))

    assert promotion_of(changes, "run-2", "vgg16") is None
    assert promotion_of(changes, "run-1", "vgg16").version == 1
    assert champion_of(changes) == Champion(1, "run-1", "vgg16")


def test_after_a_rollback_the_champion_is_the_version_that_serves():
    changes = history(("promote", 1), ("promote", 2), ("rollback", 1))

    assert champion_of(changes) == Champion(1, "run-1", "vgg16")


@pytest.mark.parametrize(
    ("steps", "below", "target"),
    [
        ([], None, None),
        ([("promote", 1)], 1, None),
        ([("promote", 1), ("promote", 2)], 2, 1),
        ([("promote", 1), ("promote", 2), ("promote", 3)], 3, 2),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2)], 2, 1),
        # 3 was taken back: after 4 the way back is to 2.
        ([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2), ("promote", 4)], 4, 2),
        # 3 was taken back, and then made stable again by hand.
        ([("promote", 2), ("promote", 3), ("rollback", 2), ("rollback", 3), ("promote", 4)], 4, 3),
        ([("promote", 1), ("canary", 2), ("withdraw", 2), ("promote", 3)], 3, 1),
    ],
    ids=["nothing", "first", "second", "third", "after-rollback", "skips-the-bad", "made-good", "canary"],
)
def test_the_way_back_is_to_the_last_good_version(steps, below, target):
    assert rollback_target(history(*steps), below) == target


def test_a_change_survives_json():
    one = change(3, "canary", 4, ServingState(3, 4, 2))

    assert Change.from_dict(one.to_dict()) == one
