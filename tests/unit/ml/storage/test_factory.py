from pathlib import Path

import pytest

from ml.config import StoreSettings
from ml.errors import ConfigError
from ml.storage import open_store
from ml.storage.folder import FolderStore
from ml.storage.s3 import S3Store


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("/data/store", "/data/store"),
        ("file:///data/my%20store", "/data/my store"),
        ("var/store", str(Path("var/store").absolute())),
        ("~/store", str(Path("~/store").expanduser())),
    ],
)
def test_a_path_opens_a_folder(url, address):
    store = open_store(StoreSettings(url=url))

    assert isinstance(store, FolderStore)
    assert store.url == address


@pytest.mark.parametrize(
    ("url", "address"),
    [("s3://bucket", "s3://bucket"), ("s3://bucket/", "s3://bucket"), ("s3://bucket/a/b/", "s3://bucket/a/b")],
)
def test_an_s3_address_opens_a_bucket_below_a_prefix(url, address):
    store = open_store(StoreSettings(url=url))

    assert isinstance(store, S3Store)
    assert store.url == address


@pytest.mark.parametrize("url", ["gs://bucket/a", "http://minio:9000/bucket", "s3://", "s3:///prefix"])
def test_another_address_is_refused_with_the_known_forms(url):
    with pytest.raises(ConfigError, match=f"'{url}'.* Remedy: Known: a folder, file:///folder, s3://bucket/prefix"):
        open_store(StoreSettings(url=url))
