import threading
import time

import pytest

from ml.threads import map_ahead


def test_results_come_in_the_order_of_the_items():
    def work(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(map_ahead(work, range(30), 4, "work")) == [number * number for number in range(30)]


def test_nothing_to_do_gives_nothing():
    assert list(map_ahead(int, [], 4, "work")) == []


def test_several_threads_work_at_once_under_their_name():
    barrier = threading.Barrier(3, timeout=10)

    def work(_):
        barrier.wait()
        return threading.current_thread().name

    assert {name.rsplit("_", 1)[0] for name in map_ahead(work, range(3), 3, "decode")} == {"decode"}


@pytest.mark.parametrize(("ahead", "expected"), [(None, 5), (0, 1), (20, 21)])
def test_only_a_few_results_wait_to_be_read(ahead, expected):
    started = []
    results = map_ahead(started.append, iter(range(1000)), 2, "work", ahead)
    next(results)
    time.sleep(0.05)

    assert len(started) == expected


def test_what_the_work_raises_is_raised():
    def work(number):
        return 1 / (number - 3)

    results = map_ahead(work, range(10), 2, "work")

    assert next(results) == pytest.approx(-1 / 3)
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_after_a_failure_nothing_new_begins():
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.01)
        if number == 1:
            raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        list(map_ahead(work, range(100), 2, "work", ahead=50))
    assert len(begun) < 8


def test_whoever_stops_early_waits_for_nothing_new():
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.01)

    results = map_ahead(work, range(100), 2, "work", ahead=50)
    next(results)
    results.close()

    assert len(begun) < 8
