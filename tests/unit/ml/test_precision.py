import keras
import pytest

from ml.precision import policy_of, resolve_precision


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_that_is_asked_for_is_taken(precision):
    assert resolve_precision(precision) == precision


def test_auto_picks_one_that_exists():
    assert resolve_precision("auto") in {"float32", "bfloat16"}


def test_weights_are_float32_in_either_precision():
    policies = [keras.DTypePolicy(policy_of(precision)) for precision in ("float32", "bfloat16")]

    assert [policy.variable_dtype for policy in policies] == ["float32", "float32"]
    assert [policy.compute_dtype for policy in policies] == ["float32", "bfloat16"]
