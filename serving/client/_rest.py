"""The clients over REST."""

from __future__ import annotations

import asyncio
import threading
import weakref
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp

from serving.client._answers import address_of
from serving.client._base import AsyncClient, Client
from serving.client._errors import NO_ANSWER, UnavailableError, UnexpectedAnswerError, call_error
from serving.client._rest_language import RestLanguage, model_url, rest_error
from serving.client._retries import DEFAULT_RETRIES

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from serving.client._base import AnswerLog
    from serving.client._calls import Call, T

__all__ = ["AsyncRestClient", "RestClient"]


class _Connections:
    """HTTP connections that are kept between calls; belongs to one event loop."""

    def __init__(self, address: str, model_name: str) -> None:
        self._address, self._url = address, model_url(address, model_name)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, call: Call[T], seconds: float) -> bytes:
        """One try; its time is for everything, from connecting to the last byte."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        verb = "GET" if call.body is None else "POST"
        options: dict[str, Any] = {"timeout": aiohttp.ClientTimeout(total=seconds), "allow_redirects": False}
        if call.body is not None:
            options |= {"data": call.body, "headers": {"Content-Type": "application/json"}}
        try:
            async with self._session.request(verb, self._url + call.path, **options) as response:
                body = await response.read()
        except TimeoutError as error:
            raise call_error(self._address, "DEADLINE_EXCEEDED", f"nothing within {seconds:.3g} s") from error
        # Refused, reset, or ended in the middle of an answer: what gRPC calls UNAVAILABLE.
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            text = str(error) or type(error).__name__
            raise UnavailableError(f"{self._address} does not answer: {text}.", NO_ANSWER, "UNAVAILABLE") from error
        except aiohttp.ClientError as error:
            raise UnexpectedAnswerError(f"{self._address} does not speak HTTP: {error}.", NO_ANSWER) from error
        if response.status != HTTPStatus.OK:
            raise rest_error(self._address, response.status, body)
        return body

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Loop:
    """An event loop in a thread of its own, for those who wait: what it runs ends in time, whatever a server does."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rest-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # left by an interrupt; of a future that is done nothing is left to cancel

    def close(self, connections: _Connections) -> None:
        if threading.current_thread() is self._thread:
            # A client that was forgotten was collected here, in the one thread that cannot wait for the loop.
            self._loop.create_task(connections.close()).add_done_callback(lambda _: self._loop.stop())
            return
        self.run(connections.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class RestClient(Client):
    """Asks one model of a server; may be shared by threads, not by forked processes, and is closed by ``with``.

    Args:
        host: of the server.
        port: its REST port.
        model_name: of the model.
        timeout_seconds: for each call, connecting and further tries included.
        label: that is asked unless a call says otherwise; None asks the highest version that is loaded.
        retries: further tries where the server is unavailable.
        log: is told of every answer, e.g. a :class:`serving.request_log.RequestLog`.
    """

    PORT = "rest_port"

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
        address = f"http://{address_of(host, port)}"
        super().__init__(address, RestLanguage(address), timeout_seconds, label, retries, log)
        self._connections, self._loop = _Connections(address, model_name), _Loop()
        self._closing = weakref.finalize(self, self._loop.close, self._connections)

    def close(self) -> None:
        """Close the connections."""
        self._closing()

    def _send(self, call: Call[T], seconds: float) -> bytes:
        return self._loop.run(self._connections.send(call, seconds))


class AsyncRestClient(AsyncClient):
    """:class:`RestClient` for one event loop: its calls are awaited, and it is closed by ``async with``."""

    PORT = "rest_port"

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
        address = f"http://{address_of(host, port)}"
        super().__init__(address, RestLanguage(address), timeout_seconds, label, retries, log)
        self._connections = _Connections(address, model_name)

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()

    async def _send(self, call: Call[T], seconds: float) -> bytes:
        return await self._connections.send(call, seconds)
