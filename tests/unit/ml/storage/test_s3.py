"""What is special about a store behind the S3 API."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from ml.config import StoreSettings
from ml.errors import AlreadyExistsError, ConfigError, NotFoundError, StoreError
from ml.storage import open_store

CALLS = {
    "get": lambda store, path: store.get("a/key"),
    "put": lambda store, path: store.put("a/key", b""),
    "put_if_absent": lambda store, path: store.put_if_absent("a/key", b""),
    "list": lambda store, path: list(store.list("a/")),
    "delete": lambda store, path: store.delete("a/key"),
    "upload": lambda store, path: store.upload(path, "a/key"),
    "download": lambda store, path: store.download("a/key", path.with_name("downloaded")),
}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(b"data")
    return tmp_path / "file"


@pytest.fixture
def answering(s3_credentials):
    """Opens a store whose server gives one answer to everything."""
    servers = []

    def opened(status, body=b"", length=None):
        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                self.send_response(status)
                self.send_header("Content-Length", str(length or len(body)))
                self.send_header("ETag", '"etag"')
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            do_GET = do_HEAD = do_PUT = answer  # noqa: N815 - the names that http.server looks for

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        servers.append((server, thread))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        return open_store(StoreSettings(url="s3://bucket", endpoint_url=address, max_attempts=1))

    yield opened
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join(5)


def refusal(code):
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>".encode()


def test_objects_lie_below_the_prefix(open_s3, bucket):
    store = open_s3("some/place/")
    store.put("a/key", b"data")

    assert [item.key for item in bucket.objects.filter(Prefix="some/")] == ["some/place/a/key"]
    assert store.uri("a/key") == f"s3://{bucket.name}/some/place/a/key"
    assert [info.key for info in store.list("a/")] == ["a/key"]


def test_stores_of_other_prefixes_do_not_meet(open_s3):
    one, two = open_s3("team"), open_s3("team-two")
    two.put("a", b"2")

    assert list(one.list("")) == []
    assert one.head("a") is None
    one.delete("a")
    assert two.get("a") == b"2"


def test_a_store_may_be_the_whole_bucket(open_s3, bucket):
    store = open_s3("")
    store.put("whole/key", b"data")

    assert store.uri("whole/key") == f"s3://{bucket.name}/whole/key"
    assert [info.key for info in store.list("whole/")] == ["whole/key"]


def test_the_empty_objects_that_show_folders_are_not_listed(open_s3, bucket):
    for key in ("markers/", "markers/landing/", "markers/landing/glioma/", "markers/landing/glioma/1.png"):
        bucket.put_object(Key=key, Body=b"")

    assert [info.key for info in open_s3("markers").list("")] == ["landing/glioma/1.png"]


def test_a_listing_goes_over_many_pages(s3_store):
    pages = []

    def ask_for_seven(params, **_):
        pages.append(params | {"MaxKeys": 7})
        return pages[-1]

    s3_store._client.meta.events.register("provide-client-params.s3.ListObjectsV2", ask_for_seven)
    many = [f"many/{number:03d}" for number in range(24)]
    for key in many:
        s3_store.put(key, b"")

    assert [info.key for info in s3_store.list("many/")] == many
    assert len(pages) == 4


def test_a_materialized_object_is_fetched_once(s3_store, tmp_path):
    s3_store.put("shard.npy", b"data")
    first = s3_store.materialize("shard.npy", tmp_path)
    inode = first.stat().st_ino

    assert s3_store.materialize("shard.npy", tmp_path) == first
    assert first.stat().st_ino == inode
    assert list(tmp_path.iterdir()) == [first]


def test_a_copy_that_is_cut_short_is_fetched_again(s3_store, tmp_path):
    s3_store.put("shard.npy", b"data")
    s3_store.materialize("shard.npy", tmp_path).write_bytes(b"da")

    assert s3_store.materialize("shard.npy", tmp_path).read_bytes() == b"data"


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_does_not_answer_is_named_soon(s3_credentials, closed_port, path, call):
    address = f"http://127.0.0.1:{closed_port}"
    store = open_store(StoreSettings(url="s3://bucket", endpoint_url=address, max_attempts=2))
    started = time.monotonic()

    with pytest.raises(StoreError, match=f"The object store at {address} does not answer.*`store.endpoint_url`"):
        CALLS[call](store, path)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("call", CALLS)
def test_a_bucket_that_is_not_there_is_named(s3_server, path, call):
    store = s3_server.store("s3://no-such-bucket")

    with pytest.raises(StoreError, match="no-such-bucket"):
        CALLS[call](store, path)


@pytest.mark.parametrize("call", ["get", "list", "upload"])
def test_without_credentials_the_variables_are_named(s3_server, path, call, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    store = s3_server.store("s3://bucket/base")

    with pytest.raises(StoreError, match=r"no credentials for s3://bucket/base\..* Remedy: Set AWS_ACCESS_KEY_ID"):
        CALLS[call](store, path)


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_credentials_that_are_refused_are_told_with_the_code(answering, code):
    with pytest.raises(StoreError, match=rf"refuses access to s3://bucket/key \({code}\).* Remedy: Check the cred"):
        answering(403, refusal(code)).get("key")


def test_another_refusal_passes_on_what_the_server_says(answering):
    with pytest.raises(StoreError, match=r"refuses s3://bucket/key: .*InternalError.*No\."):
        answering(500, refusal("InternalError")).get("key")


def test_a_creation_that_meets_another_one_has_lost(answering):
    with pytest.raises(AlreadyExistsError, match="s3://bucket/key"):
        answering(409, refusal("ConditionalRequestConflict")).put_if_absent("key", b"")


def test_a_missing_object_is_told_apart_from_a_missing_bucket(s3_store):
    with pytest.raises(NotFoundError, match=s3_store.uri("key")):
        s3_store.get("key")


@pytest.mark.parametrize("method", ["get", "download"])
def test_an_answer_that_breaks_off_is_an_error_and_no_file(answering, tmp_path, method):
    store = answering(200, b"only half", length=18)

    with pytest.raises(StoreError, match=r"The object store at http://127\.0\.0\.1:\d+ does not answer"):
        store.get("key") if method == "get" else store.download("key", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["minio:9000", "localhost", "http//minio:9000"])
def test_an_endpoint_that_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match=f"store.endpoint_url = '{address}' is no address.*http://host:port"):
        open_store(StoreSettings(url="s3://bucket", endpoint_url=address))


def test_a_server_that_removes_in_spite_of_the_condition_is_not_trusted(s3_store, monkeypatch):
    client = s3_store._client
    remove = client.delete_object
    monkeypatch.setattr(client, "delete_object", lambda IfMatch=None, **arguments: remove(**arguments))  # noqa: N803

    assert not s3_store.deletes_conditionally()
