"""``python -m bench.serve_client PROTOCOL PORT CLIENTS (--seconds S | --requests N) FILE...``: load, as JSON.

In a process of its own and without TensorFlow, so that on a small machine the server keeps what it can. Each file holds
a whole request, ready to be sent.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

METHOD = "/tensorflow.serving.PredictionService/Predict"
DEADLINE_SECONDS = 60


def send_grpc(port: int) -> Callable[[bytes], None]:
    """A sender with a connection of its own; an answer that is an error raises."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
    call = channel.unary_unary(METHOD)

    def send(request: bytes) -> None:
        call(request, timeout=DEADLINE_SECONDS)

    return send


def send_rest(port: int) -> Callable[[bytes], None]:
    """A sender with a connection that stays open; an answer that is an error raises."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)

    def send(request: bytes) -> None:
        connection.request("POST", "/v1/models/m:predict", request)
        response = connection.getresponse()
        body = response.read()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(body.decode())

    return send


def load(
    connect: Callable[[int], Callable[[bytes], None]],
    port: int,
    clients: int,
    requests: list[bytes],
    seconds: float | None,
    count: int | None,
) -> tuple[list[float], float]:
    """Latencies of all requests and the wall time, seconds."""
    turns: Iterator[int] = iter(range(count)) if count is not None else itertools.count()
    taking, latencies, failures = threading.Lock(), list[float](), list[BaseException]()
    started = time.perf_counter()

    def work() -> None:
        try:
            send = connect(port)
            while seconds is None or time.perf_counter() - started < seconds:
                with taking:
                    turn = next(turns, None)
                if turn is None:
                    return
                before = time.perf_counter()
                send(requests[turn % len(requests)])
                latencies.append(time.perf_counter() - before)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return latencies, time.perf_counter() - started


def main() -> None:
    """Send, and print the latencies and the wall time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("protocol", choices=["grpc", "rest"])
    parser.add_argument("port", type=int)
    parser.add_argument("clients", type=int)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--requests", type=int)
    flags = parser.parse_args()
    connect = send_grpc if flags.protocol == "grpc" else send_rest
    requests = [path.read_bytes() for path in flags.files]
    latencies, wall = load(connect, flags.port, flags.clients, requests, flags.seconds, flags.requests)
    # Of a million latencies nobody wants a list.
    kept = latencies if flags.seconds is not None else []
    print(json.dumps({"latencies": kept, "count": len(latencies), "seconds": wall}))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
