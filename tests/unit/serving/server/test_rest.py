"""What the REST side does when the model behind it does not answer as it should."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp.test_utils import TestClient, TestServer

from serving.server.catalog import ModelCatalog
from serving.server.rest import RestApplication


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def ask(application, body=b"{}"):
    async def run():
        async with TestClient(TestServer(application.build())) as client:
            answer = await client.post("/v1/models/m:predict", data=body)
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
