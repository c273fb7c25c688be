import hashlib
import logging

import pytest

from ml.errors import StoreError
from ml.storage.folder import FolderStore
from serving.mirror import Mirror

FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "assets.extra/card.md": b"card"}


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "served" / "m"


@pytest.fixture
def mirror(store, folder):
    return Mirror(store, "m", folder)


def sums(files):
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in files.items()).encode()


def publish(store, version, files=None, document=None, complete=True):
    files = FILES if files is None else files
    for path, data in files.items():
        store.put(f"models/m/{version}/{path}", data)
    if complete:
        store.put(f"models/m/{version}/SHA256SUMS", sums(files) if document is None else document)


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


def test_a_wanted_version_is_mirrored_whole(store, folder, mirror):
    publish(store, 1)

    assert mirror.fetch({1}) == {}
    written = {path.relative_to(folder / "1").as_posix(): path for path in (folder / "1").rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in written.items()} == FILES | {"SHA256SUMS": sums(FILES)}
    assert mirror.present() == {1}


def test_what_is_there_is_not_fetched_again(store, folder, mirror):
    publish(store, 1)
    mirror.fetch({1})

    assert Mirror(Outage(store), "m", folder).fetch({1}) == {}


def test_only_wanted_versions_are_fetched(store, folder, mirror):
    for version in (1, 2, 3):
        publish(store, version)

    assert mirror.fetch({1, 3}) == {}
    assert names(folder) == ["1", "3"]


def test_a_version_without_its_sums_is_not_published(store, folder, mirror):
    publish(store, 1, complete=False)

    assert "There is no object" in mirror.fetch({1})[1]
    assert names(folder) == []


def test_what_nobody_wants_is_removed(store, folder, mirror):
    for version in (1, 2, 10):
        publish(store, version)
    mirror.fetch({1, 2, 10})

    assert mirror.prune({2, 11}) == [1, 10]
    assert names(folder) == ["2"]


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
def test_a_version_that_is_not_what_its_sums_say_is_never_exposed(store, folder, mirror, document, message, caplog):
    publish(store, 1)
    publish(store, 2, document=document)

    with caplog.at_level(logging.ERROR):
        failed = mirror.fetch({1, 2})

    assert list(failed) == [2]
    assert message in failed[2]
    assert "version 2 of m is not taken" in caplog.text
    assert names(folder) == ["1"]


def test_a_version_that_was_refused_is_not_fetched_again_at_once(store, folder, mirror, caplog):
    publish(store, 1, document=sums(FILES | {"saved_model.pb": b"other"}))
    first = mirror.fetch({1})
    publish(store, 1)

    assert mirror.fetch({1}) == first
    assert caplog.text.count("is not taken") == 1
    assert Mirror(store, "m", folder).fetch({1}) == {}


def test_a_refused_version_that_was_not_wanted_meanwhile_is_tried_at_once(store, mirror):
    publish(store, 1, document=sums(FILES | {"saved_model.pb": b"other"}))
    mirror.fetch({1})
    mirror.fetch(set())
    publish(store, 1)

    assert mirror.fetch({1}) == {}


def test_an_outage_in_the_middle_of_a_version_leaves_nothing_behind(store, folder):
    publish(store, 1)

    assert Mirror(Outage(store, ["download"]), "m", folder).fetch({1}) == {1: "the store is down"}
    assert names(folder) == []


def test_what_a_killed_process_left_is_swept(store, folder, mirror):
    (folder / ".sync-1-abc" / "variables").mkdir(parents=True)

    mirror.fetch(set())

    assert names(folder) == []
