from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from ml.config import StoreSettings
from ml.storage import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET = "quartet-tests"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Address of a moto S3 server with one bucket."""
    application = DomainDispatcherApplication(create_backend_app)
    # S3 checks a condition and writes in one step. Moto does so only as long as it is asked one thing at a time.
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "tests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
        patch.setenv("AWS_CONFIG_FILE", "/dev/null")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        address = f"http://127.0.0.1:{server.server_port}"
        boto3.client("s3", endpoint_url=address, region_name="us-east-1").create_bucket(Bucket=BUCKET)
        yield address
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def bucket(endpoint):
    """The bucket itself, for what a store would not do."""
    return boto3.resource("s3", endpoint_url=endpoint, region_name="us-east-1").Bucket(BUCKET)


@pytest.fixture
def open_s3(endpoint) -> Callable[..., Store]:
    """Opens a store in the bucket, below a prefix; other settings may be given."""

    def opened(prefix: str, **options) -> Store:
        return open_store(StoreSettings(**{"url": f"s3://{BUCKET}/{prefix}", "endpoint_url": endpoint} | options))

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
