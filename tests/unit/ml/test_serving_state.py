import pytest

from ml.errors import DataError
from ml.serving_state import ServingState


def test_nothing_serves_before_the_first_promotion():
    assert ServingState().versions == frozenset()
    assert ServingState().labels == {}


def test_a_canary_serves_beside_the_champion():
    state = ServingState(stable=3, previous=2).begin_canary(4)

    assert state == ServingState(3, 4, 2)
    assert state.labels == {"stable": 3, "canary": 4}
    assert state.versions == {2, 3, 4}


def test_a_promoted_canary_is_stable_and_the_champion_before_is_kept():
    assert ServingState(3, 4, 2).promote(4) == ServingState(4, None, 3)


def test_a_first_promotion_has_nothing_to_go_back_to():
    assert ServingState().promote(1) == ServingState(1, None, None)


def test_the_trial_of_another_version_goes_on_after_a_promotion():
    assert ServingState(3, 5, 2).promote(4) == ServingState(4, 5, 3)


def test_what_is_not_lower_than_the_stable_version_is_not_kept_loaded():
    """A request without a label would get it."""
    assert ServingState(stable=7).promote(5) == ServingState(5, None, None)


def test_promoting_the_stable_version_again_ends_its_trial_only():
    assert ServingState(4, 4, 3).promote(4) == ServingState(4, None, 3)


@pytest.mark.parametrize(("canary", "left"), [(4, None), (5, 5), (None, None)])
def test_only_a_versions_own_trial_is_withdrawn(canary, left):
    assert ServingState(3, canary, 2).withdraw(4) == ServingState(3, left, 2)


def test_a_rollback_ends_any_trial():
    assert ServingState(4, 5, 3).roll_back(3, previous=1) == ServingState(3, None, 1)


def test_a_rollback_to_what_serves_is_refused():
    with pytest.raises(DataError, match=r"Version 4 is what serves now\."):
        ServingState(stable=4).roll_back(4, None)


def test_it_survives_json():
    state = ServingState(4, None, 3)

    assert ServingState.from_dict(state.to_dict()) == state
