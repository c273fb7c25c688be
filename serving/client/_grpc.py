"""The clients over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from serving.client._answers import address_of
from serving.client._base import AsyncClient, Client
from serving.client._grpc_language import CHANNEL_OPTIONS, PROBE, GrpcLanguage, grpc_error
from serving.client._retries import DEFAULT_RETRIES

if TYPE_CHECKING:
    from serving.client._base import AnswerLog
    from serving.client._calls import Call, T

__all__ = ["AsyncGrpcClient", "GrpcClient"]


class GrpcClient(Client):
    """Asks one model of a server; may be shared by threads, and is closed by ``with``.

    Args:
        host: of the server.
        port: its gRPC port.
        model_name: of the model.
        timeout_seconds: for each call, connecting and further tries included.
        label: that is asked unless a call says otherwise; None asks the highest version that is loaded.
        retries: further tries where the server is unavailable.
        log: is told of every answer, e.g. a :class:`serving.request_log.RequestLog`.
        probe: whether its calls only try the server: a server of this project that logs requests leaves them out.
    """

    PORT = "grpc_port"

    def __init__(
        self,
        host: str,
        port: int,
        model_name: str,
        timeout_seconds: float = 30.0,
        *,
        label: str | None = None,
        retries: int = DEFAULT_RETRIES,
        log: AnswerLog | None = None,
        probe: bool = False,
    ) -> None:
        address = address_of(host, port)
        super().__init__(address, GrpcLanguage(address, model_name), timeout_seconds, label, retries, log)
        self._metadata = (PROBE,) if probe else ()
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _send(self, call: Call[T], seconds: float) -> bytes:
        try:
            ask = self._channel.unary_unary(call.path)
            return bytes(ask(call.body, timeout=seconds, metadata=self._metadata))
        except grpc.RpcError as error:
            raise grpc_error(self.address, error) from error


class AsyncGrpcClient(AsyncClient):
    """:class:`GrpcClient` for one event loop: its calls are awaited, and it is closed by ``async with``."""

    PORT = "grpc_port"

    def __init__(
        self,
        host: str,
        port: int,
        model_name: str,
        timeout_seconds: float = 30.0,
        *,
        label: str | None = None,
        retries: int = DEFAULT_RETRIES,
        log: AnswerLog | None = None,
    ) -> None:
        address = address_of(host, port)
        super().__init__(address, GrpcLanguage(address, model_name), timeout_seconds, label, retries, log)
        self._channel: Any = None

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()

    async def _send(self, call: Call[T], seconds: float) -> bytes:
        if self._channel is None:
            # Not before there is a loop: a channel belongs to the one that is running when it is made.
            self._channel = grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        try:
            return bytes(await self._channel.unary_unary(call.path)(call.body, timeout=seconds))
        except grpc.aio.AioRpcError as error:
            raise grpc_error(self.address, error) from error
