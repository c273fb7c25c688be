"""From options to an exit status: what both command lines share."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

from ml.errors import QuartetError
from serving.server.model_config import check_first_config
from serving.server.options import check_options, require_free_ports

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from serving.server.observed import Observer
    from serving.server.options import ServerOptions

__all__ = ["catch_signals", "launch", "set_up_logging"]

log = logging.getLogger(__name__)


def set_up_logging() -> None:
    """Log to standard error, one line an event."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # TensorFlow's C++ side otherwise opens with a page about the processor.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def catch_signals() -> list[int]:
    """The list that SIGTERM and SIGINT append themselves to, for the main thread to look at.

    A handler that sets a ``threading.Event`` can deadlock with a main thread that waits for it.
    """
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: received.append(number))
    return received


def launch(
    options: ServerOptions,
    companions: Sequence[tuple[str, Callable[[threading.Event], None]]] = (),
    observe: Observer | None = None,
) -> int:
    """Serve until a signal; 0 after a clean stop, 1 after an error that was logged. See :func:`process.serve`."""
    set_up_logging()
    if options.ignored_flags:
        log.warning("these flags mean nothing to this server: %s", ", ".join(options.ignored_flags))
    try:
        check_options(options)
        check_first_config(options)
        require_free_ports(options)
        log.info("starting; TensorFlow takes some seconds to import")
        from serving.server.process import serve

        serve(options, companions, observe)
    except QuartetError as error:
        log.error("%s", error)  # noqa: TRY400 - its text is for people, the traceback is not
        return 1
    return 0
