"""From options to an exit status: what both command lines share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ml.errors import QuartetError
from serving.daemon import set_up_logging
from serving.server.model_config import check_first_config
from serving.server.options import check_options, require_free_ports

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from serving.server.observed import Observer
    from serving.server.options import ServerOptions

__all__ = ["launch"]

log = logging.getLogger(__name__)


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
