import numpy as np
import pytest
import tensorflow as tf

from ml.export import assemble_scaled
from ml.temperature import fit_temperature, load_temperature, soften, store_temperature

RANDOM = np.random.default_rng(5)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def drawn(count, sharpness):
    """Labels drawn from probabilities, and a model that says these with its logits multiplied."""
    logits = RANDOM.normal(0, 1.5, (count, 4))
    labels = (softmax(logits).cumsum(axis=1) < RANDOM.random((count, 1))).sum(axis=1)
    return np.minimum(labels, 3), softmax(logits * sharpness).astype(np.float32)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0], ids=["too-modest", "right", "too-sure"])
def test_temperature_undoes_what_sharpened_the_logits(sharpness):
    labels, probabilities = drawn(20_000, sharpness)

    assert fit_temperature(labels, probabilities) == pytest.approx(sharpness, rel=0.05)


def test_a_few_images_without_a_mistake_do_not_make_a_model_certain():
    labels = np.array([0, 1, 2, 3] * 3)
    probabilities = np.full((12, 4), 0.1)
    probabilities[np.arange(12), labels] = 0.7

    temperature = fit_temperature(labels, probabilities)

    # Of thirteen images twelve are right, and a quarter of the one that nobody knows.
    assert soften(probabilities, temperature).max() == pytest.approx(12.25 / 13, abs=1e-3)


def test_without_images_nothing_is_scaled():
    assert fit_temperature(np.empty(0, dtype=int), np.empty((0, 4))) == 1


def test_scaling_divides_the_logits_and_keeps_the_order():
    logits = RANDOM.normal(0, 3, (50, 5))
    before = softmax(logits).astype(np.float32)

    after = soften(before, 2.5)

    np.testing.assert_allclose(after, softmax(logits / 2.5), atol=1e-5)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    assert after.dtype == np.float32


@pytest.mark.parametrize("temperature", [0.05, 20.0])
def test_certain_answers_stay_numbers(temperature):
    before = np.array([[1, 0, 0], [1e-30, 1 - 1e-7, 1e-7], [0.4, 0.3, 0.3]], np.float32)

    after = soften(before, temperature)

    assert np.isfinite(after).all()
    np.testing.assert_allclose(after.sum(axis=1), 1, rtol=1e-6)


def test_the_served_model_scales_alike():
    before = softmax(RANDOM.normal(0, 2, (20, 4))).astype(np.float32)
    served = assemble_scaled(lambda images: {"probabilities": images, "attention": images}, 1.7)

    answer = served(tf.constant(before))

    np.testing.assert_allclose(answer["probabilities"], soften(before, 1.7), rtol=1e-6)
    np.testing.assert_array_equal(answer["attention"], before)


def test_model_without_a_temperature_is_left_as_it_is():
    def model(images):
        return {"probabilities": images}

    assert assemble_scaled(model, 1.0) is model


class Contender:
    run_id, name = "run", "vgg16"


def test_temperature_is_kept_beside_the_candidate(store):
    assert load_temperature(store, Contender()) == 1

    store_temperature(store, Contender(), 1.25)

    assert load_temperature(store, Contender()) == 1.25
