import io

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from ml.candidates import load_candidate
from ml.feature_plan import load_maps
from ml.precision import resolve_precision

pytestmark = pytest.mark.slow


@pytest.fixture
def candidate(first_run):
    return load_candidate(first_run.context.store, "first", "narrow")


def test_candidate_says_what_it_was_made_from(first_run, candidate):
    assert candidate.snapshot_id == first_run.plan["snapshot_id"]
    assert candidate.classes == ("spots", "stripes")
    maps = load_maps(first_run.context.store, "first")["narrow"]
    assert (candidate.fingerprint, candidate.weights_digest) == (maps.fingerprint, maps.weights_digest)
    assert candidate.settings["features"]["precision"] == "float32"
    assert candidate.settings["train"]["precision"] == resolve_precision("auto")


def test_time_is_that_of_extraction_and_training(first_run, candidate):
    (part,) = first_run.extracted
    extraction, training = part["seconds"]["narrow"], first_run.trained["narrow"]["seconds"]

    assert candidate.seconds == pytest.approx(extraction + training)


def test_history_and_best_epoch_belong_together(first_run, candidate):
    stored = first_run.context.store.get("runs/first/narrow/history.parquet")
    history = pd.read_parquet(io.BytesIO(stored))

    assert len(history) == first_run.trained["narrow"]["epochs"]
    assert history.loc[history["val_loss"].idxmin(), "epoch"] == candidate.best_epoch


def test_every_epoch_is_tracked_as_it_ends(first_run, candidate):
    client = MlflowClient(first_run.context.settings.tracking_uri)

    steps = [point.step for point in client.get_metric_history(candidate.mlflow_run_id, "val_loss")]
    assert steps == list(range(1, first_run.trained["narrow"]["epochs"] + 1))
    assert client.get_run(candidate.mlflow_run_id).data.params["backbone"] == "mobilenet"


def test_ablation_is_kept_beside_the_head_that_it_is_compared_with(voting_run):
    store = voting_run.context.store
    head, ablation = (load_candidate(store, "vote", name) for name in ("narrow", "narrow-no-attention"))

    assert (ablation.name, ablation.ablation_of, head.ablation_of) == ("narrow-no-attention", "narrow", None)
    assert (ablation.fingerprint, ablation.settings) == (head.fingerprint, head.settings)
    history = pd.read_parquet(io.BytesIO(store.get("runs/vote/narrow-no-attention/history.parquet")))
    assert history.loc[history["val_loss"].idxmin(), "epoch"] == ablation.best_epoch


def test_ablation_has_a_tracking_run_of_its_own(voting_run):
    ablation = load_candidate(voting_run.context.store, "vote", "narrow-no-attention")
    client = MlflowClient(voting_run.context.settings.tracking_uri)

    run = client.get_run(ablation.mlflow_run_id)
    assert run.data.tags["quartet.variant"] == "narrow-no-attention"
    assert run.data.params["attention"] == "False"
    assert len(client.get_metric_history(ablation.mlflow_run_id, "val_loss")) >= ablation.best_epoch


def test_without_the_setting_no_ablation_is_trained(first_run):
    assert not list(first_run.context.store.list("runs/first/narrow-no-attention/"))


def test_same_run_on_the_same_data_trains_the_same_head(first_run, second_run):
    assert first_run.trained["narrow"]["val_loss"] == pytest.approx(second_run.trained["narrow"]["val_loss"], abs=1e-4)
