import itertools
from datetime import UTC, datetime, timedelta

import pytest

from ml.overview.views import Point
from plugins.models_page.timeline import draw

START = datetime(2026, 1, 1, tzinfo=UTC)


def point(day, version, macro_f1=0.9, interval=(0.85, 0.95), action="promote"):
    return Point(START + timedelta(days=day), version, action, f"run-{version}", "vgg16", macro_f1, interval)


def test_nothing_is_drawn_where_nothing_was_promoted():
    assert draw([], START) is None


def test_dots_lie_by_their_time_between_the_first_and_now():
    drawing = draw([point(0, 1), point(5, 2), point(7.5, 3)], START + timedelta(days=10))

    first, second, third = (dot.x for dot in drawing.dots)
    width = drawing.right - drawing.left
    assert first == drawing.left
    assert second == pytest.approx(drawing.left + width / 2, abs=0.1)
    assert third == pytest.approx(drawing.left + width * 3 / 4, abs=0.1)


def test_a_better_version_lies_higher_and_its_interval_around_it():
    drawing = draw([point(0, 1, 0.9), point(1, 2, 0.95, (0.93, 0.97))], START + timedelta(days=2))

    worse, better = drawing.dots
    assert better.y < worse.y
    assert better.high < better.y < better.low
    assert all(0 <= at <= drawing.bottom for dot in drawing.dots for at in (dot.y, dot.low, dot.high))


def test_the_scale_names_round_scores_around_all_of_them():
    drawing = draw([point(0, 1, 0.912, (0.893, 0.934))], START)

    named = [float(tick.text) for tick in drawing.scores]
    assert min(named) <= 0.893
    assert max(named) >= 0.934
    assert len(named) <= 6
    heights = [tick.at for tick in drawing.scores]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("macro_f1", [0.0, 0.5, 1.0])
def test_a_single_score_without_an_interval_has_a_scale_too(macro_f1):
    drawing = draw([point(0, 1, macro_f1, None)], START)

    (dot,) = drawing.dots
    assert (dot.low, dot.high) == (None, None)
    assert 0 < dot.y < drawing.bottom


def test_a_version_whose_score_is_not_known_is_still_there():
    drawing = draw([point(0, 1, None, None), point(1, 2)], START + timedelta(days=2))

    assert drawing.dots[0].y is None
    assert drawing.steps.startswith(f"M{drawing.dots[1].x} ")


def test_where_no_score_is_known_there_is_no_scale_and_no_line():
    drawing = draw([point(0, 1, None, None)], START)

    assert (drawing.scores, drawing.steps) == ((), "")


def test_versions_are_named_where_there_is_room():
    drawing = draw([point(day, day + 1) for day in range(200)], START + timedelta(days=200))

    named = [dot.x for dot in drawing.dots if dot.labelled]
    assert 5 < len(named) < 200
    assert all(after - before >= 34 for before, after in itertools.pairwise(named))


def test_the_clock_of_another_machine_may_be_ahead():
    drawing = draw([point(0, 1), point(3, 2)], START + timedelta(days=1))

    assert drawing.dots[-1].x == drawing.right
