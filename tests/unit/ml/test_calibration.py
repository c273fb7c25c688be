import logging

import numpy as np
import pytest

from ml.calibration import choose_batching, choose_precision, pooled_cosine
from ml.precision import resolve_precision
from ml.storage import read_json

IMAGES = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
VARIANTS = {"variants": {"one": {"backbone": "mobilenet"}}}

needs_bfloat16 = pytest.mark.skipif(
    resolve_precision("auto") == "float32", reason="This processor is not better at bfloat16."
)


def runs(bfloat16=lambda maps: maps, seconds=(0.0, 0.0)):
    """Frozen backbones: in float32 the images themselves, in bfloat16 what ``bfloat16`` makes of them."""
    import time

    def freeze_in(precision):
        def run(images):
            time.sleep(seconds[precision == "bfloat16"])
            return bfloat16(images.numpy()) if precision == "bfloat16" else images.numpy()

        return run

    return freeze_in


@pytest.fixture
def choose(context, make_settings):
    def run(freeze_in, weights="weights", **features):
        settings = make_settings(VARIANTS | {"features": features})
        return choose_precision(context, settings, "one", weights, freeze_in, lambda: IMAGES)

    return run


def decisions(store):
    return [read_json(store, info.key) for info in store.list("calibrations/") if info.key.endswith("precision.json")]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_that_is_asked_for_is_taken_and_nothing_is_measured(choose, store, precision):
    assert choose(None, precision=precision) == precision
    assert decisions(store) == []


@needs_bfloat16
@pytest.mark.parametrize(
    ("bfloat16", "seconds", "expected"),
    [
        (lambda maps: maps, (0.02, 0.01), "bfloat16"),
        (lambda maps: maps, (0.01, 0.02), "float32"),
        (lambda maps: maps[..., ::-1] * [1, 0, 0], (0.02, 0.01), "float32"),
        (lambda maps: maps * np.nan, (0.02, 0.01), "float32"),
    ],
    ids=["faster", "slower", "unsound", "not finite"],
)
def test_bfloat16_is_taken_where_it_is_faster_and_sound(choose, store, bfloat16, seconds, expected):
    assert choose(runs(bfloat16, seconds)) == expected

    (decision,) = decisions(store)
    assert decision["precision"] == expected
    assert set(decision["images_per_second"]) == {"float32", "bfloat16"}


@needs_bfloat16
def test_a_decision_stands_for_other_machines_and_other_days(choose):
    assert choose(runs(seconds=(0.02, 0.01))) == "bfloat16"
    assert choose(runs(seconds=(0.01, 0.02))) == "bfloat16"
    assert choose(runs(seconds=(0.01, 0.02)), weights="others") == "float32"


@pytest.fixture
def batching(context, make_settings):
    def run(function, **features):
        settings = make_settings(VARIANTS | {"features": features})
        return choose_batching(context, settings, "one", "0123", function)

    return run


def test_batch_that_is_asked_for_is_taken(batching):
    assert batching(None, batch_size=5).batch_size == 5


@pytest.mark.parametrize(("seconds_by_size", "best"), [({8: 0.0, 32: 0.6}, 8), ({8: 0.05, 32: 0.06}, 32)])
def test_fastest_batch_is_taken_and_remembered_for_machines_like_this(batching, seconds_by_size, best, caplog):
    import time

    called = []

    def run(images):
        called.append(len(images))
        time.sleep(seconds_by_size[len(images)])
        return images

    with caplog.at_level(logging.INFO):
        assert batching(run).batch_size == best
    assert f"one: batches of {best}" in caplog.text
    measured = len(called)
    assert batching(run).batch_size == best
    assert len(called) == measured


def test_cosine_is_the_smallest_over_the_images():
    maps = np.zeros((3, 2, 2, 2), np.float32)
    maps[..., 0] = 1
    other = maps.copy()
    other[1, ..., 1] = 1

    assert pooled_cosine(maps, maps) == pytest.approx(1)
    assert pooled_cosine(maps, other) == pytest.approx(2**-0.5)
