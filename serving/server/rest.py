"""The REST side: TensorFlow Serving's URLs, status codes and bodies."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

from serving.server.examples import CLASSIFY, REGRESS, classify_examples, find_signature, regress_examples
from serving.server.json_examples import format_classes, format_values, read_examples
from serving.server.json_request import fill_tensors, parse_body, read_form, read_signature
from serving.server.json_response import format_error, format_metadata, format_outputs, format_status
from serving.server.limits import MAX_REQUEST_BYTES, Admission
from serving.server.metrics import ServerMetrics
from serving.server.recording import timed_run
from serving.server.run_limit import RunLimit
from serving.server.status import Code, StatusError
from serving.server.urls import parse_route

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from serving.server.catalog import ModelCatalog
    from serving.server.examples import Run
    from serving.server.model import LoadedModel
    from serving.server.urls import Route

__all__ = ["RestApplication"]

log = logging.getLogger(__name__)

API = re.compile(r"/v1/", re.IGNORECASE)
NOT_FOUND_PAGE = "<html><body><h1>Not Found</h1></body></html>"
WEB_ORIGIN = re.compile(r"https?://.+", re.IGNORECASE)


class RestApplication:
    """Answers requests; predictions run in an executor, so that the event loop stays free.

    Args:
        catalog: of the models served.
        executor: bounds how many predictions run at a time.
        timeout_seconds: for a prediction, its wait for the executor included.
        metrics: of the server.
        metrics_path: where they are shown; None for nowhere.
        admission: bounds how many predictions run or wait.
    """

    def __init__(
        self,
        catalog: ModelCatalog,
        executor: Executor,
        timeout_seconds: float,
        metrics: ServerMetrics | None = None,
        metrics_path: str | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._catalog = catalog
        self._executor = executor
        self._timeout_seconds = timeout_seconds
        self._metrics = metrics or ServerMetrics()
        self._metrics_path = metrics_path
        self._admission = admission or Admission()

    def build(self) -> web.Application:
        """The application, for an aiohttp runner."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        # As it came: names are percent-decoded only after the URL is taken apart.
        path = request.raw_path.partition("?")[0]
        if path == self._metrics_path and request.method == "GET":
            return web.Response(text=self._metrics.page(), content_type="text/plain")
        if not API.match(path):
            return web.Response(status=404, text=NOT_FOUND_PAGE, content_type="text/html")
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
        with self._admission.enter() as hold:
            data = await self._read(request, hold)
            with self._metrics.request(route.name, route.action, "REST"):
                return await self._run(route, data)

    async def _read(self, request: web.Request, hold: Callable[[int], None]) -> bytes:
        """The body, inflated; given up as soon as it is too large, and not when it has all come."""
        data = bytearray()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                async for chunk in request.content.iter_any():
                    hold(len(chunk))
                    data += chunk
                    if len(data) > MAX_REQUEST_BYTES:
                        raise web.HTTPRequestEntityTooLarge(MAX_REQUEST_BYTES, len(data))
                return bytes(data)
        except TimeoutError as error:
            raise StatusError(
                Code.DEADLINE_EXCEEDED, f"The body did not come within {self._timeout_seconds:g} s, the server's limit"
            ) from error

    async def _run(self, route: Route, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        limit = RunLimit(self._timeout_seconds)
        work = functools.partial(self._infer, route, data, limit)
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._executor, work), self._timeout_seconds)
        except TimeoutError as error:
            raise StatusError(
                Code.DEADLINE_EXCEEDED, f"No answer within {self._timeout_seconds:g} s, the server's limit"
            ) from error
        finally:
            # The client may have gone, too.
            limit.give_up()

    def _infer(self, route: Route, data: bytes, limit: RunLimit) -> bytes:
        # The order of these checks decides which of several errors is reported, and is the protocol's.
        document = parse_body(data)
        signature = read_signature(document)
        model = self._catalog.find(route.name, route.version, route.label)
        run = timed_run(model, route.name, route.action, self._metrics, limit)
        if route.action == "predict":
            return _predict(model, signature, document, run)
        return self._infer_examples(route, model, signature, document, run)

    def _infer_examples(
        self, route: Route, model: LoadedModel, signature: str, document: dict[str, Any], run: Run
    ) -> bytes:
        find_signature(model, signature, CLASSIFY if route.action == "classify" else REGRESS)
        examples = read_examples(document)
        if route.action == "classify":
            answer = format_classes(classify_examples(signature, examples, run))
        else:
            answer = format_values(regress_examples(signature, examples, run))
        self._metrics.count_examples(route.name, len(examples))
        return answer


def _predict(model: LoadedModel, signature: str, document: dict[str, Any], run: Run) -> bytes:
    if signature not in model.functions:
        raise StatusError(Code.INVALID_ARGUMENT, f'Serving signature name: "{signature}" not found in signature def')
    body = read_form(document)
    inputs = fill_tensors(body, model.signature(signature).inputs)
    return format_outputs(run(signature, inputs), body.row)


def _preflight(origin: str) -> bytes:
    if not WEB_ORIGIN.match(origin):
        raise StatusError(Code.FAILED_PRECONDITION, f"OPTIONS needs an Origin header of a web page, not {origin!r}")
    return b""


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")
