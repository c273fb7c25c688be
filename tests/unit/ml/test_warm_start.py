import dataclasses

import numpy as np
import pandas as pd
import pytest

from ml.candidates import Candidate, store_candidate
from ml.context import Context
from ml.head import build_head
from ml.plan import store_plan
from ml.registry import Registry
from ml.storage import dump_json, read_json
from ml.tombstones import write_tombstones
from ml.warm_start import Start, Wanted, choose_start
from promoted import record_promotion

# MLflow's own modules warn when they are imported.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

SIZES = {"heads": 2, "key_dim": 4, "units": 8}
WANTED = Wanted("new", "vgg16", ("a", "b"), "f1", (2, 2, 6))


@pytest.fixture
def context(make_settings, store, tracking_database, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(tracking_database.read_bytes())
    return Context(make_settings({"train": SIZES | {"warm_start": True}}), store)


@pytest.fixture
def registry(context):
    return Registry(context.settings)


@pytest.fixture
def head(context):
    return build_head((2, 2, 6), 2, context.settings.train, np.full(6, 3.0), np.full(6, 2.0))


@pytest.fixture
def champion(context, registry, head):
    """The champion is Xception's head of run `old`, which has one of VGG16 too."""
    sections = context.settings.model_dump(mode="json", include={"images", "variants", "weights", "features", "train"})
    for variant in ("xception", "vgg16"):
        tracked = registry.start_run("old", variant, {})
        trained = Candidate(
            run_id="old",
            variant=variant,
            snapshot_id="000001",
            classes=("a", "b"),
            fingerprint="f1",
            feature_shape=(2, 2, 6),
            weights_digest="0",
            precision="float32",
            settings=sections,
            best_epoch=1,
            seconds=1.0,
            mlflow_run_id=tracked,
        )
        store_candidate(context.store, trained, head)
    record_promotion(context.store, context.settings.model_name, "old", "xception")


def test_head_of_the_same_variant_in_the_champions_run_is_the_start(context, champion, head):
    start = choose_start(context, WANTED)

    assert start.candidate == "old/vgg16"
    assert start.cold_because is None
    for one, other in zip(start.weights, head.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_has_to_be_asked_for(context, champion):
    train = context.settings.train.model_copy(update={"warm_start": False})
    settings = context.settings.model_copy(update={"train": train})

    assert choose_start(Context(settings, context.store), WANTED) == Start()


@pytest.mark.parametrize(
    ("wanted", "sizes", "reason"),
    [
        ({"variant": "vgg19"}, {}, "the champion's run has no head old/vgg19"),
        ({"run_id": "old"}, {}, "the champion is of this very run"),
        ({"classes": ("a", "b", "c")}, {}, "old/vgg16 has other classes"),
        ({"classes": ("b", "a")}, {}, "old/vgg16 has other classes"),
        ({"fingerprint": "f2"}, {}, "old/vgg16 has other feature maps"),
        ({"feature_shape": (3, 3, 6)}, {}, "old/vgg16 has other feature maps"),
        ({}, {"heads": 4}, "old/vgg16 has other sizes of the head"),
        ({}, {"attention": False}, "old/vgg16 has other attention"),
        ({"classes": ("a", "c")}, {"units": 4}, "old/vgg16 has other classes, sizes of the head"),
    ],
    ids=["no-head", "own-run", "more-classes", "order", "fingerprint", "shape", "sizes", "attention", "two-things"],
)
def test_head_that_does_not_fit_is_no_start(context, champion, wanted, sizes, reason):
    train = context.settings.train.model_copy(update=sizes)
    changed = Context(context.settings.model_copy(update={"train": train}), context.store)

    start = choose_start(changed, dataclasses.replace(WANTED, **wanted))

    assert start == Start(cold_because=reason)


def test_before_the_first_champion_there_is_no_start(context):
    assert choose_start(context, WANTED) == Start(cold_because="there is no champion yet")


def test_head_that_another_version_built_is_no_start(context, champion, tmp_path):
    build_head((2, 2, 6), 3, context.settings.train).save_weights(tmp_path / "head.weights.h5")
    context.store.upload(tmp_path / "head.weights.h5", "runs/old/vgg16/head.weights.h5")

    assert "does not fit" in choose_start(context, WANTED).cold_because


@pytest.fixture
def samples_of(context):
    """Writes what a run was made from: one training image and one of the test split."""

    def write(run_id, training, test="untouched"):
        samples = pd.DataFrame({"image_id": [training, test], "split": ["train", "test"]})
        store_plan(context.store, {"run_id": run_id}, samples)

    return write


def forget(store, image_id):
    write_tombstones(store, {"image_ids": [image_id], "pixel_id": None})


def test_head_that_was_fitted_to_a_forgotten_image_is_no_start(context, champion, samples_of):
    samples_of("old", "withdrawn")
    forget(context.store, "withdrawn")

    start = choose_start(context, WANTED)

    assert start.weights is None
    assert start.cold_because == "old/vgg16, from which old/vgg16 comes, saw an image that was forgotten since"


def test_head_that_goes_back_to_one_is_no_start_either(context, champion, samples_of):
    record = read_json(context.store, "runs/old/vgg16/candidate.json")
    context.store.put("runs/old/vgg16/candidate.json", dump_json(record | {"started_from": "older/vgg16"}))
    context.store.put("runs/older/vgg16/candidate.json", dump_json(record | {"run_id": "older"}))
    samples_of("old", "another")
    samples_of("older", "withdrawn")
    forget(context.store, "withdrawn")

    assert choose_start(context, WANTED).cold_because.startswith("older/vgg16, from which old/vgg16 comes")


def test_head_that_was_only_measured_on_a_forgotten_image_is_a_start(context, champion, samples_of):
    samples_of("old", "another", test="withdrawn")
    forget(context.store, "withdrawn")

    assert choose_start(context, WANTED).candidate == "old/vgg16"
