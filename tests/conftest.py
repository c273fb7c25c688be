"""Servers on the loopback address, for all tests."""

from __future__ import annotations

import gc
import json
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from free_ports import free_ports
from required import require_program

TESTS = Path(__file__).parent
#: Slow ones of these compute, and none of them looks at the clock.
SHARING = (TESTS / "unit", TESTS / "dags", TESTS / "faults" / "ml", TESTS / "integration" / "ml")


# First, since -m is applied in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The slow tests of other folders start stacks and servers, kill, and look at the clock."""
    for item in items:
        if item.get_closest_marker("slow") and not any(map(item.path.is_relative_to, SHARING)):
            item.add_marker("alone")


def pytest_collection_finish():
    """What is imported and collected stays to the end: no collection of garbage has to walk through it again."""
    gc.collect()
    gc.freeze()


class HttpSink:
    """Keeps what is posted to it.

    Answers with ``status`` and ``answer``, only the first time if ``once``, or not at all while it ``hangs``.
    """

    def __init__(self):
        self.received, self.status, self.answer, self.headers = [], 200, b"ok", {}
        self.once = False
        self.hangs, self._over = False, threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def bodies(self):
        return [body for _, _, body in self.received]

    def received_at(self, path):
        return [body for at, _, body in self.received if at == path]

    def close(self):
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self):
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if sink.hangs:
                    sink._over.wait()
                    return
                sink.received.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(sink.status)
                for name, value in sink.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(sink.answer)
                if sink.once:
                    sink.status, sink.headers = 200, {}

            def log_message(self, *arguments):
                pass

        return Handler


class MailSink:
    """Keeps the mail that it gets, parsed; refuses the ``refused`` recipients."""

    def __init__(self, **options):
        from aiosmtpd.controller import Controller

        self.mails, self.envelopes, self.refused = [], [], set()
        (self.port,) = free_ports(1)
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self._controller.start()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.envelopes.append(envelope)
        return "250 OK"

    def close(self):
        self._controller.stop()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """What a test sends to this machine goes there."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def start_http_sink():
    sinks = []

    def start():
        sinks.append(HttpSink())
        return sinks[-1]

    yield start
    for sink in sinks:
        sink.close()


@pytest.fixture
def http_sink(start_http_sink):
    return start_http_sink()


@pytest.fixture
def start_mail_sink():
    sinks = []

    def start(**options):
        sinks.append(MailSink(**options))
        return sinks[-1]

    yield start
    for sink in sinks:
        sink.close()


@pytest.fixture
def mail_sink(start_mail_sink):
    return start_mail_sink()


@pytest.fixture
def closed_port():
    """A port where nobody listens."""
    return free_ports(1)[0]


@pytest.fixture(scope="session")
def moto_server():
    """Moto's S3 server; a test that reaches it through boto3's usual places asks for ``s3_credentials`` too."""
    from s3_servers import moto_server

    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def ceph_server():
    """Ceph's S3 gateway, as ``moto_server``."""
    from ceph_cluster import PROGRAMS, ceph_server

    for name in PROGRAMS:
        require_program(name)
    with ceph_server() as server:
        yield server


@pytest.fixture(scope="module")
def s3_credentials():
    """The S3 servers' keys in the environment."""
    from s3_servers import use_credentials

    with pytest.MonkeyPatch.context() as patch:
        use_credentials(patch)
        yield
