import pytest

from ml.config import TrainSettings
from ml.tuning import draw_changes, halve, rungs


def test_the_first_trial_is_what_is_configured():
    assert draw_changes(5, seed=1)[0] == {}


def test_a_larger_search_begins_with_the_smaller_one():
    assert draw_changes(9, seed=1)[:4] == draw_changes(4, seed=1)
    assert draw_changes(4, seed=1) != draw_changes(4, seed=2)


def test_every_choice_is_a_valid_setting_and_they_differ():
    choices = draw_changes(40, seed=3)

    for choice in choices:
        TrainSettings.model_validate(choice)
    assert len({tuple(choice.items()) for choice in choices}) == 40


@pytest.mark.parametrize(
    ("count", "epochs", "expected"),
    [
        (9, 27, [(9, 3), (3, 9)]),
        (27, 27, [(27, 1), (9, 3), (3, 9)]),
        (2, 20, [(2, 6)]),
        (9, 4, [(9, 1), (3, 1)]),
        (1, 20, []),
    ],
)
def test_fewer_trials_get_more_epochs(count, epochs, expected):
    assert rungs(count, epochs) == expected


def search(score, count=9, epochs=27):
    """A search over trials that are told apart by a number; returns what was trained, and the ranking."""
    trained = []

    def train(changes, budget):
        trained.append((changes["number"], budget))
        return score(changes["number"], budget), 1.0

    return trained, halve([{"number": number} for number in range(count)], epochs, train)


def test_the_best_of_a_rung_go_on():
    trained, ranked = search(lambda number, budget: number / 10)

    assert trained == [(number, 3) for number in range(9)] + [(number, 9) for number in (8, 7, 6)]
    assert [trial.number for trial in ranked] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert [trial.epochs for trial in ranked] == [9] * 3 + [3] * 6


def test_a_late_bloomer_wins_over_those_it_overtakes():
    _, ranked = search(lambda number, budget: 0.9 if (number, budget) == (6, 9) else number / 10)

    assert [trial.number for trial in ranked][:3] == [6, 8, 7]


def test_of_equals_the_configured_one_is_kept():
    _, ranked = search(lambda number, budget: 0.5)

    assert ranked[0].number == 0
