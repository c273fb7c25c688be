import asyncio

import pytest

from serving.server.metrics import MAX_SERIES, Counter, Histogram, ServerMetrics
from serving.server.status import Code, StatusError


def test_a_counter_counts_by_labels():
    counter = Counter("requests", "model", "status")
    counter.add("a", "OK")
    counter.add("a", "OK")
    counter.add("b", "OK", count=3)

    assert list(counter.lines()) == [
        "# TYPE requests counter",
        'requests{model="a",status="OK"} 2',
        'requests{model="b",status="OK"} 3',
    ]


def test_label_values_are_escaped():
    counter = Counter("requests", "model")
    counter.add('a"b\\c\nd')

    assert list(counter.lines())[1] == 'requests{model="a\\"b\\\\c\\nd"} 1'


def test_a_histogram_counts_cumulatively_up_to_each_limit():
    histogram = Histogram("seconds", [1, 10], "model")
    for value in (0.5, 1, 5, 100):
        histogram.observe(value, "a")

    assert list(histogram.lines()) == [
        "# TYPE seconds histogram",
        'seconds_bucket{model="a",le="1"} 2',
        'seconds_bucket{model="a",le="10"} 3',
        'seconds_bucket{model="a",le="+Inf"} 4',
        'seconds_sum{model="a"} 106.5',
        'seconds_count{model="a"} 4',
    ]


def test_names_that_requests_make_up_do_not_fill_the_memory():
    counter, histogram = Counter("requests", "model", "status"), Histogram("seconds", [1], "model")
    for number in range(MAX_SERIES + 100):
        counter.add(f"model-{number}", "NOT_FOUND")
        histogram.observe(1, f"model-{number}")
    counter.add("model-0", "NOT_FOUND")

    lines = list(counter.lines())
    assert len(lines) == MAX_SERIES + 2
    assert 'requests{model="other",status="NOT_FOUND"} 100' in lines
    assert 'requests{model="model-0",status="NOT_FOUND"} 2' in lines
    assert sum("_count" in line for line in histogram.lines()) == MAX_SERIES + 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StatusError(Code.NOT_FOUND, "no"), "NOT_FOUND"),
        (RuntimeError("surprise"), "INTERNAL"),
        (asyncio.CancelledError(), "CANCELLED"),
    ],
)
def test_a_request_that_fails_is_counted_by_its_code_and_not_timed(error, status):
    metrics = ServerMetrics()

    with pytest.raises(type(error)), metrics.request("m", "Predict", "GRPC"):
        raise error

    assert f':tensorflow:serving:request_count{{model_name="m",status="{status}"}} 1' in metrics.page()
    assert "request_latency_count" not in metrics.page()


def test_a_request_that_succeeds_is_counted_and_timed():
    metrics = ServerMetrics()

    with metrics.request("m", "Predict", "GRPC"):
        pass

    assert ':request_count{model_name="m",status="OK"} 1' in metrics.page()
    assert ':request_latency_count{model_name="m",API="Predict",entrypoint="GRPC"} 1' in metrics.page()
