"""``python -m serving.local``: the local stack's model server, which follows the record of what serves.

One process from the settings alone: the server on ``serving.host``, ``serving.grpc_port`` and ``serving.rest_port``,
and beside it, as a thread, the sync that mirrors versions to ``serving.model_dir`` and writes the model config file
that the server polls. Where ``monitoring.log_share`` asks for it, another thread logs a sample of what is answered. The
ports open at once; until a first version is promoted, requests get NOT_FOUND.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ml.config import load_settings
from ml.errors import QuartetError
from ml.storage import open_store
from serving.answer_log import answer_observer
from serving.daemon import set_up_logging
from serving.request_log import RequestLog
from serving.served_config import EMPTY
from serving.server.launch import launch
from serving.server.options import ServerOptions
from serving.server.versions import RetryRule
from serving.sync import SYNC_SECONDS, Sync, config_file, run_sync

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from ml.config import Settings

__all__ = ["main", "monitoring_file", "server_options", "write_server_files"]

log = logging.getLogger(__name__)


def server_options(settings: Settings) -> ServerOptions:
    """The server that the settings describe."""
    return ServerOptions(
        model_config_file=config_file(settings),
        model_config_poll_seconds=1.0,
        # A server that starts anew finds its labels in the file, before it has loaded anything.
        allow_version_labels_for_unavailable_models=True,
        monitoring_config_file=monitoring_file(settings),
        host=settings.serving.host,
        grpc_port=settings.serving.grpc_port,
        rest_port=settings.serving.rest_port,
        rest_timeout_seconds=settings.serving.timeout_seconds,
        wait_for_model=False,
        # What is mirrored is whole: a version that fails to load would fail again.
        retry=RetryRule(retries=0),
    )


def monitoring_file(settings: Settings) -> Path:
    """What `--monitoring_config_file` names: the server shows its metrics on the REST port."""
    return settings.serving.model_dir / "monitoring.config"


def write_server_files(settings: Settings) -> None:
    """What the server reads when it starts, before the sync has had its first look."""
    path = config_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(EMPTY, encoding="utf-8")
    monitoring_file(settings).write_text("prometheus_config { enable: true }\n", encoding="utf-8")


def main() -> int:
    """Serve until SIGTERM or SIGINT; 1 when the settings are wrong or a port is in use."""
    set_up_logging()
    try:
        settings = load_settings()
        store = open_store(settings.store)
        write_server_files(settings)
        sync = Sync(settings, store)
    except (QuartetError, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 - its text is for people, the traceback is not
        return 1

    def follow(stop: threading.Event) -> None:
        run_sync(sync, SYNC_SECONDS, stop)

    if not settings.monitoring.log_share:
        return launch(server_options(settings), [("sync", follow)])
    requests = RequestLog(store, settings)
    companions = [("sync", follow), ("request log", requests.run)]
    return launch(server_options(settings), companions, answer_observer(requests, settings.model_name))


if __name__ == "__main__":
    raise SystemExit(main())
