"""``python -m serving.local``: the local stack's model server, which follows what is published to the store.

One process from the settings alone: the server on ``serving.host``, ``serving.grpc_port`` and ``serving.rest_port``,
and a thread that mirrors the store's versions to ``serving.model_dir``. The ports open at once; until a first version
is published, requests get NOT_FOUND.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ml.config import load_settings
from ml.errors import QuartetError
from ml.storage import open_store
from serving.server.launch import launch, set_up_logging
from serving.server.options import ServerOptions
from serving.server.versions import RetryRule
from serving.sync import SYNC_SECONDS, model_folder, run_sync

if TYPE_CHECKING:
    import threading

    from ml.config import Settings

__all__ = ["main", "server_options"]

log = logging.getLogger(__name__)


def server_options(settings: Settings) -> ServerOptions:
    """The server that the settings describe."""
    return ServerOptions(
        model_name=settings.model_name,
        model_base_path=model_folder(settings),
        host=settings.serving.host,
        grpc_port=settings.serving.grpc_port,
        rest_port=settings.serving.rest_port,
        rest_timeout_seconds=settings.serving.timeout_seconds,
        wait_for_model=False,
        # What is mirrored is whole: a version that fails to load would fail again.
        retry=RetryRule(retries=0),
    )


def main() -> int:
    """Serve until SIGTERM or SIGINT; 1 when the settings are wrong or a port is in use."""
    set_up_logging()
    try:
        settings = load_settings()
        store = open_store(settings.store)
        folder = model_folder(settings)
        # Made here, so that the server does not complain of it before the first pass over the store.
        folder.mkdir(parents=True, exist_ok=True)
    except (QuartetError, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 - its text is for people, the traceback is not
        return 1

    def follow(stop: threading.Event) -> None:
        run_sync(store, settings.model_name, folder, SYNC_SECONDS, stop)

    return launch(server_options(settings), [("sync", follow)])


if __name__ == "__main__":
    raise SystemExit(main())
