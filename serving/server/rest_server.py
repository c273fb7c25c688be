"""The HTTP server's loop, for a thread of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from serving.server.rest import RestApplication

__all__ = ["run_rest"]

#: What requests in flight get to finish in after the stop.
GRACE_SECONDS = 3.0
CHECK_SECONDS = 0.1


def run_rest(
    application: RestApplication,
    host: str,
    port: int,
    stop: threading.Event,
    report: Callable[[OSError | None], None],
) -> None:
    """Answer requests until told to stop.

    Args:
        application: answers them.
        host: to listen on.
        port: to listen on.
        stop: ends it.
        report: called once, with the error when the port cannot be had, or None when it is open.
    """
    asyncio.run(_run(application, host, port, stop, report))


async def _run(
    application: RestApplication,
    host: str,
    port: int,
    stop: threading.Event,
    report: Callable[[OSError | None], None],
) -> None:
    runner = web.AppRunner(application.build(), access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            report(error)
            return
        report(None)
        while not stop.is_set():
            await asyncio.sleep(CHECK_SECONDS)
    finally:
        await runner.cleanup()
