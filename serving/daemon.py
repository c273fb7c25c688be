"""What every process that runs until a signal shares. Knows nothing of servers and TensorFlow."""

from __future__ import annotations

import logging
import os
import signal

__all__ = ["catch_signals", "set_up_logging"]


def set_up_logging() -> None:
    """Log to standard error, one line an event."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Their tracebacks are of requests that cannot be read, which whoever sends them could fill the log with.
    for name in ("grpc._common", "aiohttp.server"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
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
