import subprocess
import sys
from pathlib import Path

import botocore.exceptions
import grpc
import pytest
import requests
from airflow.sdk import RetryAction

from ml import errors
from plugins.retrying import RETRY_POLICY

ROOT = Path(__file__).parents[3]


class _Call(grpc.RpcError):
    """What a call over gRPC raises: an error that tells its status code."""

    def __init__(self, code):
        super().__init__(code.name)
        self._code = code

    def code(self):
        return self._code


def action_for(error):
    return RETRY_POLICY.evaluate(error, try_number=1, max_tries=2).action


@pytest.mark.parametrize(
    "error",
    [
        errors.StoreError("The store does not answer."),
        errors.NotFoundError("There is no object yet."),
        errors.ConflictError("Somebody was quicker."),
        errors.ServingError("The server does not answer."),
        errors.CorruptShardError("The shard was replaced."),
        ConnectionResetError("reset by peer"),
        TimeoutError("timed out"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="http://store"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="http://store"),
        requests.ConnectionError("refused"),
        requests.ReadTimeout("timed out"),
        _Call(grpc.StatusCode.UNAVAILABLE),
        _Call(grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
    ids=lambda error: type(error).__name__ + (f"-{error}" if isinstance(error, grpc.RpcError) else ""),
)
def test_what_may_pass_is_tried_again_after_the_tasks_own_delay(error):
    decision = RETRY_POLICY.evaluate(error, try_number=1, max_tries=2)

    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay is None
    assert decision.reason


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigError("There is no such setting."),
        errors.DataError("No images."),
        errors.ValidationFailedError("Too few."),
        errors.OvertakenError("Another was published."),
        errors.WeightsError("No weights."),
        errors.InvalidKeyError("No key."),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_stays_fails_at_once_and_says_why(error):
    decision = RETRY_POLICY.evaluate(error, try_number=1, max_tries=2)

    assert decision.action is RetryAction.FAIL
    assert decision.reason


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError(), RuntimeError("?"), _Call(grpc.StatusCode.INVALID_ARGUMENT), grpc.RpcError("tells no code")],
    ids=["ZeroDivisionError", "RuntimeError", "INVALID_ARGUMENT", "no code"],
)
def test_what_nobody_knows_is_tried_as_often_as_the_task_says(error):
    assert action_for(error) is RetryAction.DEFAULT


@pytest.mark.slow
def test_tensorflows_own_out_of_memory_fails_at_once():
    import tensorflow as tf

    assert action_for(tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")) is RetryAction.FAIL
    assert action_for(tf.errors.AbortedError(None, None, "?")) is RetryAction.DEFAULT


def test_the_rules_import_none_of_the_libraries_that_they_name():
    script = (
        "import sys, airflow.sdk\n"
        "from airflow.sdk import ExceptionRetryPolicy\n"
        "before = set(sys.modules)\n"
        "import plugins.retrying\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )

    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert result.stdout.split() == ["plugins"]


def test_every_class_that_a_rule_names_is_there():
    from importlib import import_module

    named = {spec for rule in RETRY_POLICY.rules for spec in rule.exception}
    own = sorted(spec for spec in named if not spec.startswith("tensorflow."))

    for spec in own:
        module, _, name = spec.rpartition(".")
        assert issubclass(getattr(import_module(module), name), Exception), spec
    # That it is this class, and of this module, the test with TensorFlow shows.
    assert named - set(own) == {"tensorflow.python.framework.errors_impl.ResourceExhaustedError"}
