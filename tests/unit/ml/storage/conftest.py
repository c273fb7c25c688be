from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from ml.config import StoreSettings
from ml.storage import Store, open_store
from s3_servers import S3_SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_servers import S3Server

BUCKET = "quartet-tests"


@pytest.fixture(scope="module", params=S3_SERVERS)
def s3_server(request, s3_credentials) -> S3Server:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def bucket(s3_server):
    """The bucket itself, for what a store would not do."""
    return s3_server.bucket(BUCKET)


@pytest.fixture
def open_s3(s3_server, bucket) -> Callable[..., Store]:
    """Opens a store in the bucket, below a prefix."""

    def opened(prefix: str) -> Store:
        return s3_server.store(f"s3://{bucket.name}/{prefix}")

    return opened


@pytest.fixture
def folder_store(tmp_path) -> Store:
    return open_store(StoreSettings(url=str(tmp_path / "store")))


@pytest.fixture
def s3_store(open_s3) -> Store:
    return open_s3(uuid.uuid4().hex)


@pytest.fixture(params=["folder", *S3_SERVERS])
def store(request, s3_credentials) -> Store:
    """A new, empty store of each kind."""
    if request.param == "folder":
        return request.getfixturevalue("folder_store")
    server = request.getfixturevalue(request.param)
    return server.store(f"s3://{server.bucket(BUCKET).name}/{uuid.uuid4().hex}")
