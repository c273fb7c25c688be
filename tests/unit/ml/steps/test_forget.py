"""What a finished run holds of a test image is known before the image is forgotten."""

from __future__ import annotations

import pytest

from ml.feature_plan import load_maps
from ml.forget import plan_forgetting
from ml.plan import load_samples

pytestmark = pytest.mark.slow


def test_the_models_the_overlays_and_the_warm_up_request_of_a_real_run_are_found(first_run):
    context, samples = first_run.context, load_samples(first_run.context.store, "first")
    test_images = samples["image_id"][samples["split"] == "test"].tolist()
    plans = plan_forgetting(context, test_images)
    models = [[one for one in plan.models if one.run_id == "first"] for plan in plans]
    winner = first_run.evaluation["chosen"]

    assert [plan.picture.image_ids for plan in plans] == [(image_id,) for image_id in test_images]
    assert all({(one.variant, one.split) for one in of} == {("narrow", "test"), ("wide", "test")} for of in models)
    assert {(one.variant, one.version) for of in models for one in of if one.champion} == {(winner, 1)}
    assert [plan.warmups for plan in plans] == [
        ("models/tiny/1/assets.extra/tf_serving_warmup_requests",),
        *[()] * (len(test_images) - 1),
    ]
    shown = {key for plan in plans for key in plan.pages if key.startswith("runs/first/")}
    assert shown == {"runs/first/report.html", "runs/first/narrow/attention.png", "runs/first/wide/attention.png"}
    caches = {maps.prefix for maps in load_maps(context.store, "first").values()}
    assert all({shard.rpartition("/")[0] + "/" for shard in plan.shards} >= caches for plan in plans)
