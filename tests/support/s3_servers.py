"""S3 servers on the loopback address, for all tests."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from ml.config import StoreSettings
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from mypy_boto3_s3.service_resource import Bucket

    from ml.storage import Store

__all__ = ["ACCESS_KEY", "SECRET_KEY", "S3_SERVERS", "S3Server", "moto_server", "use_credentials"]

#: What every server here takes; moto takes anything.
ACCESS_KEY, SECRET_KEY = "tests-access", "tests-secret"
#: The fixtures that start them.
S3_SERVERS = ("moto_server", pytest.param("ceph_server", marks=pytest.mark.slow))


@dataclass(frozen=True)
class S3Server:
    """A server that runs."""

    endpoint: str

    def bucket(self, name: str) -> Bucket:
        """A bucket, made where it is not there yet."""
        resource = boto3.resource(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
        return resource.create_bucket(Bucket=name)

    def store(self, url: str) -> Store:
        """The store at an address on this server."""
        return open_store(StoreSettings(url=url, endpoint_url=self.endpoint))


@contextmanager
def moto_server(watch: Callable[[WSGIEnvironment], None] | None = None) -> Iterator[S3Server]:
    """Moto's server in a thread of this process; ``watch`` is told of each request before it is answered."""
    application: WSGIApplication = DomainDispatcherApplication(create_backend_app)
    if watch is not None:
        application = _watched(application, watch)
    # S3 checks a condition and writes in one step. Moto does so only as long as it is asked one thing at a time.
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield S3Server(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join(5)


def _watched(application: WSGIApplication, watch: Callable[[WSGIEnvironment], None]) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        watch(environ)
        return application(environ, start_response)

    return answer


def use_credentials(patch: pytest.MonkeyPatch) -> None:
    """Let boto3 find the servers' keys where it looks first, and nothing that this machine has."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    patch.setenv("AWS_CONFIG_FILE", "/dev/null")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    patch.setattr(boto3, "DEFAULT_SESSION", None)
