"""Further tries, deadlines and connections, seen from a server that counts and misbehaves as it is told."""

from __future__ import annotations

import json
import threading
import time
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

from free_ports import free_ports
from serving.client import (
    DeadlineExceededError,
    OverloadedError,
    ServerFaultError,
    UnavailableError,
    UnexpectedAnswerError,
)
from serving.client._wire import message

HTTP = {"UNAVAILABLE": 503, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500}
STATUS = {
    "model_version_status": [
        {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
}


class Counting:
    """Answers status requests: ``failures`` times with ``code``, each after ``delay`` seconds."""

    name = "m"
    host = "127.0.0.1"

    def __init__(self):
        self.failures, self.code, self.delay, self.asked, self.peers = 0, "UNAVAILABLE", 0.0, [], set()
        self.body = json.dumps(STATUS).encode()
        self.grpc_port = self.rest_port = 0
        self._lock = threading.Lock()

    def next_code(self, peer):
        with self._lock:
            self.asked.append(time.monotonic())
            self.peers.add(peer)
            fails = len(self.asked) <= self.failures
        time.sleep(self.delay)
        return self.code if fails else None

    @contextmanager
    def run(self):
        if not self.grpc_port:
            self.grpc_port, self.rest_port = free_ports(2)
        grpc_server = grpc.server(futures.ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(
            self._answer, message("GetModelStatusRequest").FromString, lambda answer: answer.SerializeToString()
        )
        service = grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", {"GetModelStatus": handler})
        grpc_server.add_generic_rpc_handlers((service,))
        grpc_server.add_insecure_port(f"127.0.0.1:{self.grpc_port}")
        grpc_server.start()
        http_server = ThreadingHTTPServer(("127.0.0.1", self.rest_port), self._http_handler())
        http_server.daemon_threads = True
        threading.Thread(target=http_server.serve_forever, args=(0.02,), daemon=True).start()
        yield self
        grpc_server.stop(0).wait()
        http_server.shutdown()
        http_server.server_close()

    def _answer(self, request, context):
        code = self.next_code(context.peer())
        if code:
            context.abort(grpc.StatusCode[code], "told to")
        answer = message("GetModelStatusResponse")()
        answer.model_version_status.add(version=7, state=30)
        return answer

    def _http_handler(self):
        counting = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                code = counting.next_code(self.client_address)
                body = json.dumps({"error": "told to"}).encode() if code else counting.body
                self.send_response(HTTP[code] if code else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        return Handler


@pytest.fixture
def counting():
    with Counting().run() as server:
        yield server


def test_an_unavailable_server_is_asked_again_until_it_answers(kind, counting):
    counting.failures = 3

    with kind.of(counting) as client:
        assert [state.version for state in client.status()] == [7]

    assert len(counting.asked) == 4


def test_pauses_grow_and_are_partly_chance(kind, counting):
    counting.failures = 3
    with kind.of(counting) as client:
        client.status()

    pauses = [later - earlier for earlier, later in zip(counting.asked, counting.asked[1:], strict=False)]

    assert all(shortest <= pause for shortest, pause in zip((0.05, 0.1, 0.2), pauses, strict=True)), pauses
    assert pauses[2] > pauses[0]


def test_tries_end_with_the_number_that_is_set(kind, counting):
    counting.failures = 99

    with kind.of(counting, retries=2) as client, pytest.raises(UnavailableError, match="UNAVAILABLE: told to"):
        client.status()

    assert len(counting.asked) == 3


@pytest.mark.parametrize(("code", "error"), [("RESOURCE_EXHAUSTED", OverloadedError), ("INTERNAL", ServerFaultError)])
def test_no_other_error_is_tried_again(kind, code, error, counting):
    counting.failures, counting.code = 99, code

    with kind.of(counting) as client, pytest.raises(error) as caught:
        client.status()

    assert caught.value.code == code
    assert len(counting.asked) == 1


def test_further_tries_end_with_the_time_of_the_whole_call(kind, counting):
    counting.failures = 99
    started = time.monotonic()

    # On a busy machine the last try may be under way when the time is over.
    with (
        kind.of(counting, timeout_seconds=1, retries=20) as client,
        pytest.raises((UnavailableError, DeadlineExceededError)),
    ):
        client.status()

    assert time.monotonic() - started < 3
    assert 2 <= len(counting.asked) <= 8


def test_tries_that_take_long_share_the_time_too(kind, counting):
    counting.failures, counting.delay = 99, 0.3
    started = time.monotonic()

    with (
        kind.of(counting, timeout_seconds=0.7, retries=20) as client,
        pytest.raises((UnavailableError, DeadlineExceededError)),
    ):
        client.status()

    assert time.monotonic() - started < 3


def test_a_server_that_comes_up_meanwhile_is_found_within_the_call(kind):
    server, over = Counting(), threading.Event()
    server.grpc_port, server.rest_port = free_ports(2)

    def come_up():
        time.sleep(0.5)
        with server.run():
            over.wait()

    thread = threading.Thread(target=come_up)
    thread.start()
    try:
        with kind.of(server, retries=20) as client:
            assert [state.version for state in client.status()] == [7]
    finally:
        over.set()
        thread.join()


def test_calls_share_a_connection(kind, counting):
    with kind.of(counting) as client:
        for _ in range(5):
            client.status()

    assert len(counting.asked) == 5
    assert len(counting.peers) == 1


@pytest.mark.parametrize("kind", ["rest", "async rest"], indirect=True)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"model_version_status": [{}]}'], ids=repr)
def test_an_answer_of_something_else_is_named(kind, body, counting):
    counting.body = body

    with kind.of(counting) as client, pytest.raises(UnexpectedAnswerError, match="cannot be read"):
        client.status()
