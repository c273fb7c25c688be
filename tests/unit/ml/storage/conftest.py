from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from ml.config import StoreSettings
from ml.storage import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKET = "quartet-tests"


@pytest.fixture(scope="module")
def bucket(moto_server):
    """The bucket itself, for what a store would not do."""
    return moto_server.bucket(BUCKET)


@pytest.fixture
def open_s3(moto_server, bucket, s3_credentials) -> Callable[..., Store]:
    """Opens a store in the bucket, below a prefix."""

    def opened(prefix: str) -> Store:
        return moto_server.store(f"s3://{bucket.name}/{prefix}")

    return opened


@pytest.fixture
def folder_store(tmp_path) -> Store:
    return open_store(StoreSettings(url=str(tmp_path / "store")))


@pytest.fixture
def s3_store(open_s3) -> Store:
    return open_s3(uuid.uuid4().hex)


@pytest.fixture(params=["folder", "s3"])
def store(request) -> Store:
    """A new, empty store of each kind."""
    return request.getfixturevalue(f"{request.param}_store")
