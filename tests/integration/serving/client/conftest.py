"""The four clients, called alike."""

from __future__ import annotations

import pytest

from awaited import Awaited
from serving.client import AsyncGrpcClient, AsyncRestClient, GrpcClient, RestClient

KINDS = {"grpc": GrpcClient, "rest": RestClient, "async grpc": AsyncGrpcClient, "async rest": AsyncRestClient}


class Kind:
    """One of the four clients; what it makes is called without awaiting."""

    def __init__(self, name):
        self.is_grpc = "grpc" in name
        self.is_async = "async" in name
        self._kind = KINDS[name]

    def __call__(self, *arguments, **options):
        return Awaited(self._kind, *arguments, **options) if self.is_async else self._kind(*arguments, **options)

    def from_settings(self, settings, **changes):
        if self.is_async:
            return Awaited(self._kind.from_settings, settings, **changes)
        return self._kind.from_settings(settings, **changes)

    def of(self, server, name=None, timeout_seconds=20.0, **options):
        port = server.grpc_port if self.is_grpc else server.rest_port
        return self(server.host, port, name or server.name, timeout_seconds, **options)


@pytest.fixture(params=KINDS)
def kind(request) -> Kind:
    return Kind(request.param)
