"""The HTTP server's loop, for a thread of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from serving.server.options import ServerOptions
    from serving.server.rest import RestApplication

__all__ = ["run_rest"]

#: What requests in flight get to finish in after the stop.
GRACE_SECONDS = 3.0
CHECK_SECONDS = 0.1
#: TensorFlow Serving's.
CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}


def run_rest(
    application: RestApplication,
    options: ServerOptions,
    stop: threading.Event,
    report: Callable[[OSError | None], None],
) -> None:
    """Answer requests until told to stop.

    Args:
        application: answers them.
        options: of the server: where to listen, and whether pages of other sites may read the answers.
        stop: ends it.
        report: called once, with the error when the port cannot be had, or None when it is open.
    """
    asyncio.run(_run(application, options, stop, report))


async def _run(
    application: RestApplication,
    options: ServerOptions,
    stop: threading.Event,
    report: Callable[[OSError | None], None],
) -> None:
    built = application.build()
    if options.enable_cors:
        built.on_response_prepare.append(_allow_other_sites)
    runner = web.AppRunner(built, access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, options.host, options.rest_port).start()
        except OSError as error:
            report(error)
            return
        report(None)
        while not stop.is_set():
            await asyncio.sleep(CHECK_SECONDS)
    finally:
        await runner.cleanup()


async def _allow_other_sites(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(CORS_HEADERS)
