import time

import numpy as np
import tensorflow as tf

from ml.latency import measure_latency


def test_model_is_asked_for_one_image_at_a_time():
    asked = []

    def model(images):
        asked.append((images.shape.as_list(), images.dtype.name))
        return {"probabilities": tf.reduce_mean(images, axis=(1, 2)), "attention": images}

    latency = measure_latency(model, 48)

    assert asked == [([1, 48, 48, 3], "float32")]
    assert 0 < latency.p50 <= latency.p95


def test_milliseconds_are_those_of_the_calls_after_warming_up():
    waits = iter([0.3] * 3 + [0.01] * 40)

    def slow(images):
        time.sleep(next(waits))
        return np.zeros((1, 2), np.float32)

    latency = measure_latency(lambda images: {"probabilities": tf.numpy_function(slow, [images], tf.float32)}, 8)

    assert 10 <= latency.p50 <= latency.p95 < 290
