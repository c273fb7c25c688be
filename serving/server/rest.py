"""The REST side: TensorFlow Serving's URLs, status codes and bodies."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from typing import TYPE_CHECKING

from aiohttp import web

from serving.server.json_request import fill_tensors, parse_body, read_form, read_signature
from serving.server.json_response import format_error, format_metadata, format_outputs, format_status
from serving.server.signatures import refuse_examples
from serving.server.status import Code, StatusError
from serving.server.urls import parse_route

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from serving.server.catalog import ModelCatalog
    from serving.server.urls import Route

__all__ = ["RestApplication"]

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 2**31 - 1
API = re.compile(r"/v1/", re.IGNORECASE)
NOT_FOUND_PAGE = "<html><body><h1>Not Found</h1></body></html>"
WEB_ORIGIN = re.compile(r"https?://.+", re.IGNORECASE)


class RestApplication:
    """Answers requests; predictions run in an executor, so that the event loop stays free.

    Args:
        catalog: of the models served.
        executor: bounds how many predictions run at a time.
        timeout_seconds: for a prediction, its wait for the executor included.
    """

    def __init__(self, catalog: ModelCatalog, executor: Executor, timeout_seconds: float) -> None:
        self._catalog = catalog
        self._executor = executor
        self._timeout_seconds = timeout_seconds

    def build(self) -> web.Application:
        """The application, for an aiohttp runner."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        # As it came: names are percent-decoded only after the URL is taken apart.
        path = request.raw_path.partition("?")[0]
        if not API.match(path):
            return web.Response(
                status=404, text="<html><body><h1>Not Found</h1></body></html>", content_type="text/html"
            )
        try:
            return _json(200, await self._answer(request, path))
        except StatusError as error:
            return _json(error.http_status, format_error(error.message))
        except web.HTTPException as error:
            # aiohttp's own refusals, such as of a body that is too large.
            return _json(error.status, format_error(error.text or error.reason))
        except web.RequestPayloadError as error:
            return _json(400, format_error(f"The body cannot be read: {error}"))
        except Exception as error:
            log.exception("%s %s failed", request.method, path)
            return _json(500, format_error(f"{type(error).__name__}: {error}"))

    async def _answer(self, request: web.Request, path: str) -> bytes:
        if request.method == "OPTIONS":
            return _preflight(request.headers.get("Origin", ""))
        route = parse_route(request.method, path)
        if route.action == "status":
            # A label in the URL is ignored here and all versions are listed: TensorFlow Serving does so.
            return format_status(self._catalog.states(route.name, route.version))
        if route.action == "metadata":
            model = self._catalog.find(route.name, route.version, route.label)
            return format_metadata(route.name, model)
        data = await request.read()
        work = self._predict if route.action == "predict" else self._refuse_examples
        return await self._run(functools.partial(work, route, data))

    async def _run(self, work: Callable[[], bytes]) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._executor, work), self._timeout_seconds)
        except TimeoutError as error:
            raise StatusError(
                Code.DEADLINE_EXCEEDED, f"No answer within {self._timeout_seconds:g} s, the server's limit"
            ) from error

    def _predict(self, route: Route, data: bytes) -> bytes:
        # The order of these checks decides which of several errors is reported, and is the protocol's.
        document = parse_body(data)
        signature = read_signature(document)
        model = self._catalog.find(route.name, route.version, route.label)
        if signature not in model.functions:
            raise StatusError(
                Code.INVALID_ARGUMENT, f'Serving signature name: "{signature}" not found in signature def'
            )
        body = read_form(document)
        inputs = fill_tensors(body, model.signature(signature).inputs)
        return format_outputs(model.run(signature, inputs), body.row)

    def _refuse_examples(self, route: Route, data: bytes) -> bytes:
        signature = read_signature(parse_body(data))
        model = self._catalog.find(route.name, route.version, route.label)
        raise refuse_examples(model, signature, route.action)


def _preflight(origin: str) -> bytes:
    if not WEB_ORIGIN.match(origin):
        raise StatusError(Code.FAILED_PRECONDITION, f"OPTIONS needs an Origin header of a web page, not {origin!r}")
    return b""


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")
