import os

import pytest

from ml.errors import ServingError
from serving.server.batching_parameters import BatchingParameters, read_parameters


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        path = tmp_path / "batching.pbtxt"
        path.write_text(text)
        return read_parameters(path)

    return write_and_read


def test_an_empty_file_gives_tensorflow_servings_defaults(read):
    assert read("") == BatchingParameters(threads=os.cpu_count())


def test_every_parameter_is_read(read):
    assert read(
        """
        max_batch_size { value: 16 }
        batch_timeout_micros { value: 1500 }
        max_enqueued_batches { value: 3 }
        num_batch_threads { value: 2 }
        thread_pool_name { value: "mine" }
        allowed_batch_sizes: 2
        allowed_batch_sizes: 8
        pad_variable_length_inputs: true
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 8 }
        """
    ) == BatchingParameters(16, 0.0015, 3, 2, (2, 8), True, True, 8, "mine")


def test_batches_are_filled_up_to_the_next_allowed_size():
    parameters = BatchingParameters(max_batch_size=8, allowed_sizes=(2, 4, 8))

    assert [parameters.padded_size(rows) for rows in (1, 2, 3, 5, 8)] == [2, 2, 4, 8, 8]
    assert BatchingParameters().padded_size(3) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("max_batch_size { value: 0 }", "max_batch_size is 0", id="no rows"),
        pytest.param("num_batch_threads { value: 0 }", "num_batch_threads is 0", id="no threads"),
        pytest.param("max_enqueued_batches { value: -1 }", "max_enqueued_batches is -1", id="no queue"),
        pytest.param("batch_timeout_micros { value: -1 }", "must not be negative", id="time before"),
        pytest.param(
            "max_batch_size { value: 8 } allowed_batch_sizes: [2, 4]",
            "must equal max_batch_size, which is 8",
            id="last",
        ),
        pytest.param(
            "max_batch_size { value: 4 } allowed_batch_sizes: [4, 2, 4]", "must be positive and increase", id="order"
        ),
        pytest.param(
            "max_batch_size { value: 8 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 4 } allowed_batch_sizes: [2, 8]",
            "must equal max_execution_batch_size, which is 4",
            id="last with splitting",
        ),
        pytest.param(
            "max_batch_size { value: 2 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 4 }",
            "must not exceed max_batch_size",
            id="execution larger than a request",
        ),
        pytest.param("max_batches { value: 1 }", "It may have the fields max_batch_size, ", id="unknown name"),
        pytest.param("max_batch_size: 4", "is no text proto of BatchingParameters", id="not a wrapper"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(read, text, message):
    with pytest.raises(ServingError) as raised:
        read(text)

    assert message in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ServingError, match=r"none\.pbtxt cannot be read"):
        read_parameters(tmp_path / "none.pbtxt")
