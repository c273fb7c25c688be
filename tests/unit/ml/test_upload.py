import pytest

from ml.errors import DataError
from ml.upload import UploadResult, upload_folder


@pytest.fixture
def images(tmp_path):
    """Three files in two classes, and what must be left out."""
    folder = tmp_path / "images"
    for path in ("a/1.png", "a/deeper/2.png", "b/3.png", "a/.hidden.png", ".git/config", "b/.cache/4.png", "README.md"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())
    return folder


def landed(store):
    return {info.key: store.get(info.key).decode() for info in store.list("")}


def test_labelled_files_go_to_the_landing_zone(store, images):
    assert upload_folder(store, images) == UploadResult(sent=3, unchanged=0)
    assert landed(store) == {
        "landing/a/1.png": "a/1.png",
        "landing/a/deeper/2.png": "a/deeper/2.png",
        "landing/b/3.png": "b/3.png",
    }


def test_what_is_there_is_not_written_again(store, images):
    upload_folder(store, images)
    before = [info.etag for info in store.list("")]

    assert upload_folder(store, images) == UploadResult(sent=0, unchanged=3)
    assert [info.etag for info in store.list("")] == before


@pytest.mark.parametrize("content", [b"A/1.png", b"longer than before"], ids=["same size", "other size"])
def test_a_file_that_changed_is_sent_again(store, images, content):
    upload_folder(store, images)
    (images / "a/1.png").write_bytes(content)

    assert upload_folder(store, images) == UploadResult(sent=1, unchanged=2)
    assert store.get("landing/a/1.png") == content


def test_progress_is_told_file_by_file(store, images):
    told = []
    upload_folder(store, images, lambda done, of: told.append((done, of)))

    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_that_is_not_there_is_named(store, tmp_path):
    with pytest.raises(DataError, match=f"no folder {tmp_path / 'missing'}.* Remedy: Name a folder"):
        upload_folder(store, tmp_path / "missing")


def test_a_folder_without_class_folders_is_named(store, tmp_path):
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match=f"{tmp_path} has no files in class folders.* Remedy: .*<label>/<file>"):
        upload_folder(store, tmp_path)
