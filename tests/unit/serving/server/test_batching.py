import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.server.batch_queue import BatchScheduler
from serving.server.batching import Batcher
from serving.server.batching_parameters import BatchingParameters
from serving.server.status import Code, StatusError


class Graph:
    """Doubles ``x``; refuses a batch with a negative number, and holds every call while it is shut."""

    def __init__(self):
        self.sizes = []
        self.shapes = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()

    def __call__(self, inputs):
        x = inputs["x"]
        self.sizes.append(len(x))
        self.shapes.append(x.tolist())
        self.entered.set()
        assert self.open.wait(10)
        if (x < 0).any():
            raise StatusError(Code.INVALID_ARGUMENT, "negative")
        return {"y": x * 2}


@pytest.fixture
def graph():
    return Graph()


@pytest.fixture
def make(graph):
    schedulers = []

    def batcher(call=graph, waits=None, **parameters):
        parameters = BatchingParameters(**{"max_batch_size": 4, "threads": 1, **parameters})
        schedulers.append(BatchScheduler(parameters.thread_count))
        return Batcher(schedulers[-1], parameters, call, (lambda _: None) if waits is None else waits.append)

    yield batcher
    graph.open.set()
    for scheduler in schedulers:
        scheduler.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as pool:
        yield pool


def ask(batcher, *values, deadline=None):
    return batcher.run({"x": np.float32(values)}, deadline)["y"].tolist()


def occupy(graph, batcher, pool):
    """Hold the only thread inside the graph, so that what comes next has to wait."""
    graph.open.clear()
    graph.entered.clear()
    first = pool.submit(ask, batcher, 100)
    assert graph.entered.wait(10)
    return first


def queued(batcher, rows):
    """Wait until so many rows are in the queue."""
    deadline = time.monotonic() + 10
    while sum(batch.rows for batch in batcher._queue._batches) < rows:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def submit_in_order(batcher, pool, requests):
    futures, rows = [], 0
    for values in requests:
        futures.append(pool.submit(ask, batcher, *values))
        rows += len(values)
        queued(batcher, rows)
    return futures


def test_a_request_alone_is_answered(make):
    assert ask(make(), 1, 2) == [2, 4]


def test_requests_that_wait_share_a_batch_and_each_gets_its_own_rows(graph, make, pool):
    batcher = make()
    first = occupy(graph, batcher, pool)
    futures = submit_in_order(batcher, pool, [[1], [2, 3], [4]])
    graph.open.set()

    assert [future.result() for future in futures] == [[2], [4, 6], [8]]
    assert first.result() == [200]
    assert graph.sizes == [1, 4]


def test_a_request_that_does_not_fit_opens_the_next_batch(graph, make, pool):
    batcher = make()
    occupy(graph, batcher, pool)
    futures = submit_in_order(batcher, pool, [[1, 2, 3], [4, 5]])
    graph.open.set()

    assert [future.result() for future in futures] == [[2, 4, 6], [8, 10]]
    assert graph.sizes == [1, 3, 2]


def test_a_batch_waits_its_time_for_more_requests(graph, make, pool):
    batcher = make(timeout_seconds=0.3)
    futures = [pool.submit(ask, batcher, value) for value in (1, 2)]

    assert [future.result() for future in futures] == [[2], [4]]
    assert graph.sizes == [2]


def test_a_full_batch_does_not_wait(make):
    started = time.monotonic()

    assert ask(make(timeout_seconds=60.0), 1, 2, 3, 4) == [2, 4, 6, 8]
    assert time.monotonic() - started < 30


def test_a_batch_is_filled_up_with_a_row_that_was_sent(graph, make, pool):
    batcher = make(allowed_sizes=(2, 4))
    occupy(graph, batcher, pool)
    futures = submit_in_order(batcher, pool, [[1], [2], [3]])
    graph.open.set()

    assert [future.result() for future in futures] == [[2], [4], [6]]
    assert graph.shapes == [[100, 100], [1, 2, 3, 1]]


def test_one_bad_request_does_not_harm_the_others_of_its_batch(graph, make, pool):
    batcher = make()
    occupy(graph, batcher, pool)
    futures = submit_in_order(batcher, pool, [[1], [-1], [3]])
    graph.open.set()

    assert (futures[0].result(), futures[2].result()) == ([2], [6])
    with pytest.raises(StatusError, match="negative"):
        futures[1].result()


def test_a_full_queue_refuses(graph, make, pool):
    batcher = make(max_batch_size=1, max_enqueued_batches=2)
    occupy(graph, batcher, pool)
    futures = submit_in_order(batcher, pool, [[1], [2]])

    with pytest.raises(StatusError, match="is full") as raised:
        ask(batcher, 3)
    graph.open.set()

    assert raised.value.code is Code.UNAVAILABLE
    assert [future.result() for future in futures] == [[2], [4]]


def test_a_request_whose_time_passed_in_the_queue_never_runs(graph, make, pool):
    batcher = make()
    occupy(graph, batcher, pool)
    late = pool.submit(ask, batcher, 7, deadline=time.monotonic() + 0.05)
    queued(batcher, 1)
    other = submit_in_order(batcher, pool, [[1]])[0]

    with pytest.raises(StatusError) as raised:
        late.result()
    graph.open.set()

    assert raised.value.code is Code.DEADLINE_EXCEEDED
    assert other.result() == [2]
    assert graph.shapes == [[100], [1]]


def test_a_request_larger_than_a_batch_is_refused(make):
    with pytest.raises(StatusError, match="Task size 5 is larger than maximum input batch size 4") as raised:
        ask(make(), 1, 2, 3, 4, 5)

    assert raised.value.code is Code.INVALID_ARGUMENT


def test_a_large_request_is_cut_if_that_is_allowed(graph, make):
    batcher = make(max_batch_size=10, split=True, max_execution_size=4, threads=1)

    assert ask(batcher, *range(10)) == [2 * value for value in range(10)]
    assert graph.sizes == [4, 4, 2]


def test_the_first_piece_of_a_large_request_fills_the_open_batch(graph, make, pool):
    batcher = make(max_batch_size=10, split=True, max_execution_size=4)
    occupy(graph, batcher, pool)
    futures = submit_in_order(batcher, pool, [[1], [2, 3, 4, 5]])
    graph.open.set()

    assert [future.result() for future in futures] == [[2], [4, 6, 8, 10]]
    assert graph.shapes[1:] == [[1, 2, 3, 4], [5]]


def test_a_large_request_is_queued_whole_or_not_at_all(graph, make, pool):
    batcher = make(max_batch_size=10, split=True, max_execution_size=4, max_enqueued_batches=2)
    occupy(graph, batcher, pool)

    with pytest.raises(StatusError) as raised:
        ask(batcher, *range(10))
    future = submit_in_order(batcher, pool, [range(8)])[0]
    graph.open.set()

    assert raised.value.code is Code.UNAVAILABLE
    assert future.result() == [2 * value for value in range(8)]


def wide(batcher, *rows):
    return batcher.run({"x": np.float32(rows)})["y"].tolist()


def pair_of_widths(graph, batcher, pool):
    occupy(graph, batcher, pool)
    futures = [pool.submit(wide, batcher, [1, 2])]
    queued(batcher, 1)
    futures.append(pool.submit(wide, batcher, [3, 4, 5]))
    queued(batcher, 2)
    graph.open.set()
    return [future.result() for future in futures]


def test_inputs_of_different_widths_run_one_by_one(graph, make, pool):
    assert pair_of_widths(graph, make(), pool) == [[[2, 4]], [[6, 8, 10]]]
    assert graph.sizes == [1, 1, 1]


def test_inputs_of_different_widths_are_padded_with_their_first_value_if_that_is_allowed(graph, make, pool):
    assert pair_of_widths(graph, make(pad_variable_length=True), pool) == [[[2, 4, 2]], [[6, 8, 10]]]
    assert graph.shapes[1] == [[1, 2, 1], [3, 4, 5]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.float32(1)}, "at least one dimension"),
        ({"x": np.float32([1]), "z": np.float32([1, 2])}, "equal 0th-dimension size"),
    ],
    ids=["scalar", "different rows"],
)
def test_inputs_without_a_common_batch_are_refused(make, inputs, message):
    with pytest.raises(StatusError, match=message) as raised:
        make().run(inputs)

    assert raised.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("output", "message"),
    [(np.float32(1), "has 0 dimensions"), (np.zeros(3, np.float32), "0th dimension is 3")],
    ids=["scalar", "other rows"],
)
def test_outputs_that_are_no_batch_are_an_error_of_the_model(make, output, message):
    with pytest.raises(StatusError, match=message) as raised:
        ask(make(lambda _: {"y": output}), 1)

    assert raised.value.code is Code.FAILED_PRECONDITION


def test_a_request_without_rows_gets_an_answer_without_rows(make):
    assert ask(make(allowed_sizes=(2, 4))) == []


def test_a_defect_reaches_whoever_waits_and_the_thread_goes_on(graph, make):
    broken = [True]

    def call(inputs):
        if broken.pop() if broken else False:
            raise RuntimeError("surprise")
        return graph(inputs)

    batcher = make(call)
    with pytest.raises(RuntimeError, match="surprise"):
        ask(batcher, 1)

    assert ask(batcher, 2) == [4]


def test_each_request_tells_how_long_it_waited(graph, make, pool):
    waits = []
    batcher = make(waits=waits)
    occupy(graph, batcher, pool)
    future = submit_in_order(batcher, pool, [[1]])[0]
    time.sleep(0.05)
    graph.open.set()
    future.result()

    assert len(waits) == 2
    assert 0.05 <= waits[1] < 10


def test_models_take_turns(graph, pool):
    parameters = BatchingParameters(max_batch_size=1, threads=1)
    scheduler = BatchScheduler(1)
    order = []

    def labelled(name):
        def call(inputs):
            order.append(name)
            return graph(inputs)

        return call

    first, second = (Batcher(scheduler, parameters, labelled(name), lambda _: None) for name in "ab")
    occupy(graph, first, pool)
    futures = submit_in_order(first, pool, [[1], [2], [3]]) + submit_in_order(second, pool, [[4]])
    graph.open.set()
    for future in futures:
        future.result()
    scheduler.close()

    assert order == ["a", "a", "b", "a", "a"]


def test_a_scheduler_that_closes_refuses_what_waits(graph, pool):
    scheduler = BatchScheduler(1)
    batcher = Batcher(scheduler, BatchingParameters(max_batch_size=1, threads=1), graph, lambda _: None)
    running = occupy(graph, batcher, pool)
    waiting = submit_in_order(batcher, pool, [[1]])[0]
    closing = pool.submit(scheduler.close)

    with pytest.raises(StatusError, match="stopping") as raised:
        waiting.result()
    graph.open.set()
    closing.result()

    assert raised.value.code is Code.UNAVAILABLE
    assert running.result() == [200]
    with pytest.raises(StatusError, match="stopping"):
        ask(batcher, 2)
