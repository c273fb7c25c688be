"""``python -m infra.compose.health``: whether a container's service is well, for the health checks of the compose file.

``worker`` asks the Celery worker on this host by the broker; an address must answer with 200; anything else is a part
of Airflow by the name that the API server's health page gives it. Nothing here imports Airflow, which takes seconds.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from urllib.error import URLError
from urllib.parse import urljoin
from urllib.request import ProxyHandler, build_opener

__all__ = ["main"]

SECONDS = 8.0


def main(arguments: list[str]) -> int:
    """0 when well; 1 with a line that says what is not."""
    (what,) = arguments
    try:
        problem = _worker() if what == "worker" else _address(what) if "://" in what else _part(what)
    except (OSError, URLError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        print(f"{what}: {problem}")  # noqa: T201
    return 1 if problem else 0


def _get(address: str) -> tuple[int, bytes]:
    # Proxies are for what lies outside.
    with build_opener(ProxyHandler({})).open(address, timeout=SECONDS) as answer:
        return int(answer.status), answer.read()


def _address(address: str) -> str:
    status, _ = _get(address)
    return "" if status == 200 else f"{address} answers {status}"


def _part(name: str) -> str:
    """A part of Airflow is well when the API server has lately heard of it."""
    api = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    _, body = _get(urljoin(api, "/api/v2/monitor/health"))
    status = json.loads(body)[name]["status"]
    return "" if status == "healthy" else f"the API server calls it {status}"


def _worker() -> str:
    from celery import Celery

    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    name = f"celery@{socket.gethostname()}"
    answers = app.control.ping(destination=[name], timeout=SECONDS)
    return "" if answers else f"{name} does not answer"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
