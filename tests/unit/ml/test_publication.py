import hashlib
from types import SimpleNamespace

import pytest

from ml.errors import AlreadyExistsError
from ml.publication import checksums, claim_version, find_published, highest_version, is_published, upload_version
from ml.registry import Registry

# MLflow's own modules warn when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def folder(tmp_path):
    files = {"saved_model.pb": b"graph", "assets.extra/labels.txt": b"a"}
    for name, data in files.items():
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_bytes(data)
    return tmp_path / "model"


@pytest.fixture
def registry(make_settings, tracking_database, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(tracking_database.read_bytes())
    return Registry(make_settings({"model_name": "m"}))


@pytest.fixture
def candidate(registry):
    tracked = registry.start_run("run-1", "vgg16", {})
    return SimpleNamespace(run_id="run-1", name="vgg16", mlflow_run_id=tracked)


def test_sums_name_every_file_with_its_digest(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables/data").write_bytes(b"weights")
    (tmp_path / "saved_model.pb").write_bytes(b"graph")

    assert checksums(tmp_path) == "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("saved_model.pb", b"graph"), ("variables/data", b"weights"))
    )


def test_a_version_is_published_when_its_sums_are_there(store, folder):
    upload_version(store, folder, "m", 3)

    assert is_published(store, "m", 3)
    assert not is_published(store, "m", 4)
    assert store.get("models/m/3/assets.extra/labels.txt") == b"a"
    assert store.get("models/m/3/SHA256SUMS").decode() == checksums(folder)


def test_a_published_version_is_never_written_over(store, folder):
    upload_version(store, folder, "m", 3)

    with pytest.raises(AlreadyExistsError):
        upload_version(store, folder, "m", 3)


def test_files_without_sums_take_their_number_too(store):
    assert highest_version(store, "m") == 0
    for key in ("m/2/SHA256SUMS", "m/11/saved_model.pb", "m/latest/file", "other/40/SHA256SUMS"):
        store.put(f"models/{key}", b"")

    assert highest_version(store, "m") == 11


def test_a_try_that_was_killed_before_the_sums_is_followed_by_a_new_number(store, registry, candidate, folder):
    killed = claim_version(store, registry, "m", candidate)
    store.put(f"models/m/{killed}/saved_model.pb", b"half of it")
    assert find_published(store, registry, "m", candidate) is None

    version = claim_version(store, registry, "m", candidate)
    upload_version(store, folder, "m", version)

    assert (killed, version) == (1, 2)
    assert find_published(store, registry, "m", candidate) == 2


def test_a_registry_that_was_set_up_anew_gives_no_number_of_the_store_again(store, registry, candidate):
    store.put("models/m/7/SHA256SUMS", b"")

    assert claim_version(store, registry, "m", candidate) == 8


def test_a_version_is_found_by_the_persons_decision_that_it_carries(store, registry, candidate, folder):
    plain = claim_version(store, registry, "m", candidate)
    upload_version(store, folder, "m", plain)
    (folder / "assets.extra/order.json").write_bytes(b"one")
    ordered = claim_version(store, registry, "m", candidate)
    upload_version(store, folder, "m", ordered)

    found = [find_published(store, registry, "m", candidate, order) for order in (None, b"one", b"another")]

    assert found == [plain, ordered, None]
