import hashlib
import logging
import threading

import pytest

from ml.errors import StoreError
from ml.storage.folder import FolderStore
from serving.sync import Mirror, SyncResult, run_sync, sync_once

FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "assets.extra/card.md": b"card"}


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "served" / "m"


def sums(files):
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in files.items()).encode()


def publish(store, version, files=None, document=None, complete=True, name="m"):
    files = FILES if files is None else files
    for path, data in files.items():
        store.put(f"models/{name}/{version}/{path}", data)
    if complete:
        store.put(f"models/{name}/{version}/SHA256SUMS", sums(files) if document is None else document)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Outage:
    """A store whose calls fail while it is down."""

    def __init__(self, store, calls=("list", "get", "download")):
        self.store, self.down, self.calls = store, True, calls

    def __getattr__(self, name):
        if self.down and name in self.calls:
            raise StoreError("the store is down")
        return getattr(self.store, name)


def test_a_published_version_is_mirrored_whole(store, folder):
    publish(store, 1)

    assert sync_once(store, "m", folder) == SyncResult(added=(1,))
    written = {path.relative_to(folder / "1").as_posix(): path for path in (folder / "1").rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in written.items()} == FILES | {"SHA256SUMS": sums(FILES)}


def test_a_second_pass_does_nothing(store, folder):
    publish(store, 1)
    sync_once(store, "m", folder)

    assert sync_once(store, "m", folder) == SyncResult()


def test_a_version_without_its_sums_is_not_published(store, folder):
    publish(store, 1, complete=False)

    assert sync_once(store, "m", folder) == SyncResult()
    assert names(folder) == []


def test_the_newest_versions_are_kept_and_older_ones_removed(store, folder):
    for version in (1, 2, 10):
        publish(store, version)
        sync_once(store, "m", folder, keep=2)
    publish(store, 11)

    assert sync_once(store, "m", folder, keep=2) == SyncResult(added=(11,), removed=(2,))
    assert names(folder) == ["10", "11"]


def test_only_the_newest_versions_are_fetched(store, folder):
    for version in (1, 2, 3, 4):
        publish(store, version)

    assert sync_once(store, "m", folder, keep=2) == SyncResult(added=(3, 4))


def test_other_models_and_other_names_are_not_mirrored(store, folder):
    publish(store, 1, name="other")
    publish(store, "latest")
    publish(store, "007")

    assert sync_once(store, "m", folder) == SyncResult()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param(sums(FILES | {"saved_model.pb": b"other"}), "has the SHA-256", id="other digest"),
        pytest.param(sums(FILES | {"missing": b""}), "There is no object", id="missing file"),
        pytest.param(b"", "names no files", id="empty"),
        pytest.param(b"no sums\n", "has the line 'no sums'", id="no sums"),
        pytest.param(sums({"../../escape": b""}), "has the line", id="path that leaves"),
        pytest.param(sums({"/etc/passwd": b""}), "has the line", id="absolute path"),
    ],
)
def test_a_version_that_is_not_what_its_sums_say_is_never_exposed(store, folder, document, message, caplog):
    publish(store, 1)
    publish(store, 2, document=document)

    with caplog.at_level(logging.ERROR):
        result = sync_once(store, "m", folder, keep=1)

    assert (result.added, result.removed, list(result.failed)) == ((1,), (), [2])
    assert message in result.failed[2]
    assert "version 2 of m is not taken" in caplog.text
    assert names(folder) == ["1"]


def test_a_version_that_fails_removes_no_good_one(store, folder):
    publish(store, 1)
    sync_once(store, "m", folder, keep=1)
    publish(store, 2, document=sums(FILES | {"saved_model.pb": b"other"}))

    assert sync_once(store, "m", folder, keep=1).removed == ()
    assert names(folder) == ["1"]


def test_a_version_that_was_refused_is_not_fetched_again_at_once(store, folder):
    publish(store, 1, document=sums(FILES | {"saved_model.pb": b"other"}))
    mirror = Mirror(store, "m", folder)
    mirror.update()
    publish(store, 1)

    assert "failed before, tried again in" in mirror.update().failed[1]
    assert sync_once(store, "m", folder).added == (1,)


def test_an_outage_in_the_middle_of_a_version_leaves_nothing_behind(store, folder):
    publish(store, 1)

    result = sync_once(Outage(store, ["download"]), "m", folder)

    assert result.failed == {1: "the store is down"}
    assert names(folder) == []


def test_what_a_killed_process_left_is_swept(store, folder):
    (folder / ".sync-1-abc" / "variables").mkdir(parents=True)
    publish(store, 1)

    sync_once(store, "m", folder)

    assert names(folder) == ["1"]


def test_an_empty_store_removes_nothing(store, folder):
    (folder / "3").mkdir(parents=True)

    assert sync_once(store, "m", folder) == SyncResult()
    assert names(folder) == ["3"]


def test_keep_must_be_at_least_one(store, folder):
    with pytest.raises(ValueError, match="not 0"):
        sync_once(store, "m", folder, keep=0)


def test_the_loop_survives_an_outage_and_keeps_what_is_there(store, folder, caplog):
    publish(store, 1)
    sync_once(store, "m", folder)
    publish(store, 2)
    outage, stop = Outage(store), threading.Event()
    thread = threading.Thread(target=run_sync, args=(outage, "m", folder, 0.01, stop))
    with caplog.at_level(logging.INFO):
        thread.start()
        wait_until(lambda: "no versions can be fetched for now: the store is down" in caplog.text)
        assert names(folder) == ["1"]
        outage.down = False
        wait_until(lambda: (folder / "2").exists())
        wait_until(lambda: "answers again" in caplog.text)
        stop.set()
        thread.join(5)

    assert not thread.is_alive()
    assert caplog.text.count("no versions can be fetched") == 1


def wait_until(condition):
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("not within 5 s")
