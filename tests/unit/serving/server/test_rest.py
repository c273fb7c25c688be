"""What the REST side does when the model behind it does not answer as it should."""

import asyncio
import io
import logging
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp.test_utils import TestClient, TestServer

from serving.server.catalog import ModelCatalog
from serving.server.limits import Admission
from serving.server.rest import RestApplication


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def ask(application, body=b"{}", headers=None):
    async def run():
        async with TestClient(TestServer(application.build())) as client:
            answer = await client.post("/v1/models/m:predict", data=body, headers=headers)
            return answer.status, await answer.json()

    return asyncio.run(run())


def test_a_prediction_that_takes_too_long_is_given_up(executor):
    release = threading.Event()
    executor.submit(release.wait)

    status, body = ask(RestApplication(ModelCatalog([]), executor, 0.05))
    release.set()

    assert (status, body) == (504, {"error": "No answer within 0.05 s, the server's limit"})


def test_what_should_not_happen_is_logged_and_answered(executor, caplog):
    class Broken:
        def find(self, *_):
            raise RuntimeError("surprise")

    with caplog.at_level(logging.ERROR):
        status, body = ask(RestApplication(Broken(), executor, 5.0))

    assert (status, body) == (500, {"error": "RuntimeError: surprise"})
    assert "POST /v1/models/m:predict failed" in caplog.text


def test_more_predictions_than_are_let_in_are_refused_at_once(executor):
    release = threading.Event()
    executor.submit(release.wait)
    application = RestApplication(ModelCatalog([]), executor, 5.0, admission=Admission(2))

    async def run():
        async with TestClient(TestServer(application.build())) as client:
            waiting = [asyncio.create_task(client.post("/v1/models/m:predict", data=b"{}")) for _ in range(2)]
            await asyncio.sleep(0.2)
            refused = await client.post("/v1/models/m:predict", data=b"{}")
            status = await client.get("/v1/models/m")
            release.set()
            return refused.status, status.status, [(await answer).status for answer in waiting]

    assert asyncio.run(run()) == (429, 404, [404, 404])


def test_bodies_that_are_too_much_together_are_refused(executor):
    application = RestApplication(ModelCatalog([]), executor, 5.0, admission=Admission(max_bytes=1000))

    assert [ask(application, b" " * size)[0] for size in (900, 1100, 900)] == [400, 429, 400]


def test_a_body_that_does_not_come_is_given_up(executor):
    application = RestApplication(ModelCatalog([]), executor, 0.1)

    async def run():
        async with TestServer(application.build()) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            line = await asyncio.wait_for(reader.readline(), 10)
            writer.close()
            return line

    assert b" 504 " in asyncio.run(run())


def test_a_small_body_that_inflates_without_end_is_refused(executor, monkeypatch):
    monkeypatch.setattr("serving.server.rest.MAX_REQUEST_BYTES", 2**20)
    bomb = zlib.compressobj(9, wbits=31)
    data = bomb.compress(b" " * 2**28) + bomb.flush()
    application = RestApplication(ModelCatalog([]), executor, 30.0)
    tracemalloc.start()
    status, _ = ask(application, data, {"Content-Encoding": "gzip"})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(data) < 2**19
    assert status == 413
    assert peak < 2**26


def test_a_large_body_is_refused(executor, monkeypatch):
    monkeypatch.setattr("serving.server.rest.MAX_REQUEST_BYTES", 2**20)

    status, body = ask(RestApplication(ModelCatalog([]), executor, 30.0), io.BytesIO(b" " * (2**20 + 1)))

    assert (status, list(body)) == (413, ["error"])
