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


def test_same_run_on_the_same_data_trains_the_same_head(first_run, second_run):
    assert first_run.trained["narrow"]["val_loss"] == pytest.approx(second_run.trained["narrow"]["val_loss"], abs=1e-4)
