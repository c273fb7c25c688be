import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from ml.registry import Registry, tracking_page

# MLflow's own modules warn when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def settings(make_settings, tracking_database, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(tracking_database.read_bytes())
    return make_settings({"model_name": "tiny"})


@pytest.fixture
def registry(settings):
    return Registry(settings)


@pytest.fixture
def candidate(registry):
    def make(run_id, variant="vgg16"):
        tracked = registry.start_run(run_id, variant, {"epochs": 3})
        return SimpleNamespace(run_id=run_id, name=variant, mlflow_run_id=tracked)

    return make


@pytest.mark.parametrize(
    ("tracking_uri", "page"),
    [
        ("https://mlflow.example/", "https://mlflow.example/#/experiments/1/runs/abc"),
        ("http://user:secret@mlflow:5000", "http://mlflow:5000/#/experiments/1/runs/abc"),
        ("sqlite:///var/mlflow.db", None),
        ("file:///var/mlruns", None),
        ("postgresql://user:secret@db/mlflow", None),
    ],
)
def test_a_run_has_a_page_where_the_tracking_server_speaks_http(tracking_uri, page):
    assert tracking_page(tracking_uri, "1", "abc") == page


def test_a_database_has_no_pages(registry, candidate):
    assert registry.page(candidate("run-1").mlflow_run_id) is None


def test_there_is_no_champion_before_the_first_promotion(registry):
    assert registry.champion() is None


def test_aliases_follow_what_they_are_told(registry, candidate):
    first, second = (registry.claim_version(candidate(run), "uri", 0) for run in ("run-1", "run-2"))

    for champion, challenger in ((None, first), (first, None), (first, second), (second, None), (None, None)):
        registry.point_aliases(champion, challenger)
        assert (registry._aliases().get("champion"), registry._aliases().get("challenger")) == (champion, challenger)
        assert registry.champion() == champion


def test_an_alias_never_names_a_version_that_the_registry_does_not_know(registry, candidate, caplog):
    registry.point_aliases(registry.claim_version(candidate("run-1"), "uri", 0), None)

    registry.point_aliases(7, None)

    assert registry.champion() is None
    assert "does not know version 7, the champion" in caplog.text


def test_every_claim_is_a_number_of_its_own(registry, candidate):
    first, second = candidate("run-1"), candidate("run-2")

    assert [registry.claim_version(one, "uri", 0) for one in (first, first, second)] == [1, 2, 3]
    assert (registry.versions_of(first), registry.versions_of(second)) == ([1, 2], [3])


def test_numbers_that_the_store_knows_are_not_claimed_again(registry, candidate):
    """A registry that was set up anew counts from 1."""
    one = candidate("run-1")

    assert registry.claim_version(one, "uri", above=4) == 5
    assert registry.claim_version(one, "uri", above=4) == 6


def test_only_published_versions_count_as_such(registry, candidate):
    one, other = candidate("run-1"), candidate("run-1", "vgg19")
    version = registry.claim_version(one, "uri", 0)
    registry.claim_version(other, "uri", 0)

    registry.record_published(version, "Cleared.", {"approved_by": "Alice"})

    assert registry.versions() == {("run-1", "vgg16"): (1,)}
    stored = registry._client.get_model_version("tiny", "1")
    assert (stored.description, stored.tags["quartet.approved_by"]) == ("Cleared.", "Alice")


def test_run_keeps_parameters_metrics_files_and_tags(registry, settings):
    from mlflow.tracking import MlflowClient

    tracked = registry.start_run("run-1", "vgg16", {"epochs": 3})
    registry.log_metrics(tracked, {"val_loss": 0.5}, step=1)
    registry.log_metrics(tracked, {"val_loss": 0.25}, step=2)
    registry.log_files(tracked, {"curves.png": b"picture"})
    registry.finish_run(tracked, {"quartet.snapshot_id": "000001"})

    client = MlflowClient(settings.tracking_uri)
    run = client.get_run(tracked)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "3"}
    assert [point.value for point in client.get_metric_history(tracked, "val_loss")] == [0.5, 0.25]
    assert run.data.tags["quartet.snapshot_id"] == "000001"
    assert [artifact.path for artifact in client.list_artifacts(tracked)] == ["curves.png"]


def test_run_that_a_killed_task_began_is_gone_on_with(registry, settings):
    first = registry.start_run("it's a run", "vgg16", {"epochs": 3})
    registry.log_metrics(first, {"val_loss": 0.5}, step=1)

    assert registry.start_run("it's a run", "vgg16", {"epochs": 3}) == first
    assert set(registry.logged(first, "val_loss")) == {1}


def test_epochs_of_a_training_that_goes_on_are_tracked_once_and_of_one_that_starts_over_again(registry):
    tracked = registry.start_run("run", "vgg16", {})
    log = registry.epoch_log(tracked, "vgg16")
    for epoch, loss in ((1, 0.5), (2, 0.4)):
        log(epoch, {"val_loss": loss})

    again = registry.epoch_log(tracked, "vgg16")
    for epoch, loss in ((1, 0.5), (2, 0.3)):
        again(epoch, {"val_loss": loss})

    assert registry.logged(tracked, "val_loss") == {1: 0.5, 2: 0.3}
    history = registry._client.get_metric_history(tracked, "val_loss")
    assert sorted(point.step for point in history) == [1, 2, 2]


def test_run_that_was_killed_before_its_parameters_were_there_gets_them(registry, settings):
    from mlflow.tracking import MlflowClient

    first = registry.start_run("run-1", "vgg16", {})

    assert registry.start_run("run-1", "vgg16", {"epochs": 3}) == first
    assert MlflowClient(settings.tracking_uri).get_run(first).data.params == {"epochs": "3"}


def test_run_of_other_parameters_is_marked_as_killed(registry, settings):
    from mlflow.tracking import MlflowClient

    first = registry.start_run("run-1", "vgg16", {"epochs": 3})
    second = registry.start_run("run-1", "vgg16", {"epochs": 4})

    assert second != first
    assert MlflowClient(settings.tracking_uri).get_run(first).info.status == "KILLED"
    assert registry.logged(second, "val_loss") == {}


@pytest.mark.parametrize("other", [("run-2", "vgg16"), ("run-1", "vgg19")], ids=["run", "variant"])
def test_another_candidates_run_is_let_be(registry, settings, other):
    from mlflow.tracking import MlflowClient

    first = registry.start_run("run-1", "vgg16", {"epochs": 3})

    assert registry.start_run(*other, {"epochs": 3}) != first
    assert MlflowClient(settings.tracking_uri).get_run(first).info.status == "RUNNING"


def test_finished_run_is_not_gone_on_with(registry):
    first = registry.start_run("run-1", "vgg16", {"epochs": 3})
    registry.finish_run(first, {})

    assert registry.start_run("run-1", "vgg16", {"epochs": 3}) != first


def test_tasks_that_begin_at_once_share_an_experiment(settings):
    with ThreadPoolExecutor(4) as pool:
        registries = list(pool.map(lambda _: Registry(settings), range(4)))

    tracked = {registry.start_run(f"run-{index}", "vgg16", {}) for index, registry in enumerate(registries)}
    assert len(tracked) == 4


OPEN = """
import sys, time, warnings
from pathlib import Path

warnings.simplefilter("ignore")
import mlflow.tracking
from ml.config import Settings
from ml.registry import Registry, tracking_page

folder = Path(sys.argv[1])
(folder / f"ready-{sys.argv[2]}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
print(Registry(Settings.model_validate({"tracking_uri": f"sqlite:///{folder}/new/mlflow.db"})).champion())
"""


@pytest.mark.slow
def test_processes_that_begin_at_once_make_one_database(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, tmp_path, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for number in range(3)
    ]
    while len(list(tmp_path.glob("ready-*"))) < len(processes) and all(one.poll() is None for one in processes):
        time.sleep(0.01)
    (tmp_path / "go").touch()
    outcomes = [process.communicate() for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], outcomes
    assert {printed.strip() for printed, _ in outcomes} == {b"None"}
