import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tensorflow as tf

from serving.server.run_limit import RunLimit
from serving.server.status import Code, StatusError, graph_error


@tf.function(input_signature=[tf.TensorSpec([], tf.int64)])
def count(steps):
    value = tf.constant(0, tf.int64)
    while value < steps:
        value += 1
    return value


def run(limit, steps):
    with limit.apply():
        try:
            return int(count(tf.constant(steps, tf.int64)))
        except tf.errors.OpError as error:
            raise graph_error(error.error_code, error.message) from error


def test_a_run_in_time_is_left_alone():
    assert run(RunLimit(60), 10) == run(RunLimit(None), 10) == 10


def test_a_run_that_nobody_waits_for_ends():
    limit = RunLimit(None)
    threading.Timer(0.2, limit.give_up).start()
    started = time.monotonic()

    with pytest.raises(StatusError) as raised:
        run(limit, 2**62)

    assert raised.value.code is Code.CANCELLED
    assert time.monotonic() - started < 20


def test_a_run_that_ends_after_its_time_says_so():
    limit = RunLimit(0.1)
    threading.Timer(0.2, limit.give_up).start()

    with pytest.raises(StatusError) as raised:
        run(limit, 2**62)

    assert raised.value.code is Code.DEADLINE_EXCEEDED


def test_a_request_whose_time_is_up_does_not_run():
    with pytest.raises(StatusError, match="before it could run") as raised:
        run(RunLimit(0), 1)

    assert raised.value.code is Code.DEADLINE_EXCEEDED


def test_giving_up_one_run_leaves_those_beside_it():
    limits = [RunLimit(None) for _ in range(4)]
    with ThreadPoolExecutor(5) as pool:
        endless = [pool.submit(run, limit, 2**62) for limit in limits[1:]]
        finite = pool.submit(run, limits[0], 20_000)
        time.sleep(0.1)
        for limit in limits[1:]:
            limit.give_up()
        errors = [future.exception() for future in endless]

    assert [error.code for error in errors] == [Code.CANCELLED] * 3
    assert finite.result() == 20_000


def test_a_graph_that_fails_does_not_harm_later_ones():
    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def positive(x):
        tf.debugging.assert_positive(x)
        return x

    run(RunLimit(None), 1)
    with pytest.raises(tf.errors.InvalidArgumentError):
        positive(tf.constant(-1.0))

    assert float(positive(tf.constant(1.0))) == 1.0
