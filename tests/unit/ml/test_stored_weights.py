import numpy as np
import pytest
import tensorflow as tf

from ml.stored_weights import WEIGHT_BYTES, StoredModel


@pytest.fixture(scope="module")
def keras_model():
    tf.keras.utils.set_random_seed(0)
    inputs = tf.keras.Input((32, 32, 3))
    places = tf.keras.layers.Conv2D(8, 4, strides=4)(inputs)
    hidden = tf.keras.layers.Dense(64, activation="relu")(tf.keras.layers.Flatten()(places))
    probabilities = tf.keras.layers.Dense(5, activation="softmax")(hidden)
    return tf.keras.Model(inputs, {"probabilities": probabilities, "attention": places[..., 0]})


def test_answers_are_the_models(keras_model):
    images = tf.random.stateless_uniform((3, 32, 32, 3), (0, 0))
    stored = StoredModel(keras_model, 32)(images)

    for name, values in keras_model(images).items():
        np.testing.assert_allclose(stored[name], values, atol=1e-6)


def test_only_large_tensors_are_variables(keras_model):
    stored = StoredModel(keras_model, 32)

    assert [tuple(weight.shape) for weight in stored.weights] == [(512, 64)]
    assert all(weight.numpy().nbytes >= WEIGHT_BYTES for weight in stored.weights)


def test_variables_that_the_model_had_are_not_stored_besides(keras_model):
    assert {weight.ref() for weight in StoredModel(keras_model, 32).variables}.isdisjoint(
        weight.value.ref() for weight in keras_model.weights
    )


def test_batch_may_have_any_length_inside_another_graph(keras_model):
    stored = StoredModel(keras_model, 32)
    answer = tf.function(lambda images: stored(images), input_signature=[tf.TensorSpec([None, 32, 32, 3])])

    assert answer.get_concrete_function().structured_outputs["probabilities"].shape.as_list() == [None, 5]
    assert [answer(tf.zeros((count, 32, 32, 3)))["probabilities"].shape[0] for count in (1, 4)] == [1, 4]
