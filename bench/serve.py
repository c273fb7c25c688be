"""What the local model server costs above the graph that it serves. ``python -m bench.serve`` makes a short try."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from bench.drawn import draw
from bench.record import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.record import Measured

__all__ = ["measure"]

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")
IMAGES, CLIENTS = 16, 8
BATCHING = """
max_batch_size { value: 4 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 100 }
"""
#: Two batches at once that share no core do more than one that is cut into pieces; a single request is slower so.
FOR_THROUGHPUT = ("--tensorflow_intra_op_parallelism=1",)
#: Resident memory is read after so many requests.
FEW, MANY = 1000, 100_000
START_SECONDS = 120


@dataclass(frozen=True)
class Effort:
    """How long is measured: rounds, seconds of each part of a round, and requests of the memory test."""

    rounds: int = 7
    seconds: float = 4.0
    few: int = FEW
    many: int = MANY


QUICK = Effort(rounds=3, seconds=2.0, few=FEW // 5, many=MANY // 50)


def measure(effort: Effort | None = None) -> Measured:
    """Ask a server with batching, in a process of its own, and call the graph it serves in this one, in turns.

    The model is a MobileNet at 224 x 224 with random weights, the requests are drawn JPEG images of some 30 KB. The
    graph is called as fast as Python can: frozen, from the SavedModel that is served. Memory is of a server with a
    narrow MobileNet at 32 x 32 and small images, so that 100,000 requests take minutes and not an hour.
    """
    effort = effort or Effort()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        images = [draw(number) for number in range(IMAGES)]
        _export(folder / "served" / "1", 1.0, 224)
        requests = _write_requests(folder, images)
        server = stack.enter_context(_server(folder / "served", folder))
        busy = stack.enter_context(_server(folder / "served", folder, FOR_THROUGHPUT))
        call = _Frozen(folder / "served" / "1")
        for one in (server, busy):  # what a new server's first requests cost is not measured
            one.ask("grpc", CLIENTS, requests["grpc"], f"--seconds={effort.seconds / 2}")
        rounds = [_round(server, busy, call, images, requests, effort.seconds) for _ in range(effort.rounds)]
        stack.close()
        memory = _memory(folder, effort)
    figures = {name: median(values[name] for values in rounds) for name in rounds[0]}
    return {
        "question": "What do a request to the local server and eight clients at once cost above the graph it serves, "
        f"and does its memory stay the same from {effort.few:,} requests to {effort.many:,}? p50_vs_bare is a cost "
        "(1.3 is 30 % more), throughput_vs_bare a share, memory_100k_vs_1k growth; each is the median over rounds in "
        "which both sides take turns.",
        "baseline": "the frozen function of the SavedModel that is served, called in a process with nothing else to "
        f"do: one JPEG image at a time for latency, {CLIENTS} in a call for throughput. Of the two servers the one "
        f"that eight clients ask computes an operation on one core ({FOR_THROUGHPUT[0]}), two batches at once; the "
        "other has TensorFlow's defaults",
        "figures": {"rounds": float(effort.rounds), **figures, **memory},
        "ratios": {
            "p50_vs_bare": _ratio(rounds, "grpc_p50_milliseconds", "bare_p50_milliseconds"),
            "rest_p50_vs_bare": _ratio(rounds, "rest_p50_milliseconds", "bare_p50_milliseconds"),
            "throughput_vs_bare": _ratio(rounds, "grpc_images_per_second", "bare_images_per_second"),
            "memory_100k_vs_1k": memory["memory_many_mib"] / memory["memory_few_mib"],
        },
    }


def _ratio(rounds: Sequence[dict[str, float]], measured: str, baseline: str) -> float:
    return median(values[measured] / values[baseline] for values in rounds)


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[bytes]
    grpc_port: int
    rest_port: int

    def ask(self, protocol: str, clients: int, files: Sequence[Path], *limit: str) -> dict[str, Any]:
        """What the client's process prints."""
        port = self.grpc_port if protocol == "grpc" else self.rest_port
        command = [sys.executable, "-m", "bench.serve_client", protocol, str(port), str(clients), *map(str, files)]
        done = subprocess.run([*command, *limit], cwd=ROOT, check=True, capture_output=True, text=True)
        return dict(json.loads(done.stdout))

    def resident_mib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _round(
    server: _Server,
    busy: _Server,
    call: _Frozen,
    images: Sequence[bytes],
    requests: dict[str, list[Path]],
    seconds: float,
) -> dict[str, float]:
    """Both sides in turns: one client at ``server``, eight at ``busy``."""
    one = [call.prepare([image]) for image in images]
    several = [call.prepare([*images[start:], *images[:start]][:CLIENTS]) for start in range(len(images))]
    limit = f"--seconds={seconds}"
    batched, wall = call.repeat(several, seconds)
    loaded = busy.ask("grpc", CLIENTS, requests["grpc"], limit)
    return {
        "bare_p50_milliseconds": median(call.repeat(one, seconds)[0]) * 1000,
        "grpc_p50_milliseconds": median(server.ask("grpc", 1, requests["grpc"], limit)["latencies"]) * 1000,
        "rest_p50_milliseconds": median(server.ask("rest", 1, requests["rest"], limit)["latencies"]) * 1000,
        "bare_images_per_second": CLIENTS * len(batched) / wall,
        "grpc_images_per_second": loaded["count"] / loaded["seconds"],
        "grpc_p50_milliseconds_at_8_clients": median(loaded["latencies"]) * 1000,
        "grpc_p50_milliseconds_for_throughput": median(busy.ask("grpc", 1, requests["grpc"], limit)["latencies"])
        * 1000,
    }


class _Frozen:
    """The served graph as a function of bytes, its outputs read as a server has to."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        restored = tf.saved_model.load(str(folder))
        self._function = convert_variables_to_constants_v2(restored.signatures["serving_default"])
        self.prepare = tf.constant

    def repeat(self, batches: Sequence[Any], seconds: float) -> tuple[list[float], float]:
        """Seconds of each call, after some that do not count, and the wall time."""
        for batch in batches[:4]:
            self._function(batch)
        latencies: list[float] = []
        started = time.perf_counter()
        while (now := time.perf_counter()) - started < seconds:
            for output in self._function(batches[len(latencies) % len(batches)]):
                output.numpy()
            latencies.append(time.perf_counter() - now)
        return latencies, time.perf_counter() - started


def _memory(folder: Path, effort: Effort) -> dict[str, float]:
    _export(folder / "narrow" / "1", 0.25, 32)
    requests = _write_requests(folder / "narrow", [_small(number) for number in range(IMAGES)])
    with _server(folder / "narrow", folder) as server:
        server.ask("grpc", CLIENTS, requests["grpc"], f"--requests={effort.few}")
        few = server.resident_mib()
        rest = server.ask("grpc", CLIENTS, requests["grpc"], f"--requests={effort.many - effort.few}")
        return {
            "memory_few_requests": float(effort.few),
            "memory_many_requests": float(effort.many),
            "memory_few_mib": few,
            "memory_many_mib": server.resident_mib(),
            "memory_requests_per_second": rest["count"] / rest["seconds"],
        }


def _export(folder: Path, alpha: float, size: int) -> None:
    from ml.backbones import build_backbone
    from ml.config import Settings
    from ml.export import assemble_model, export_model
    from ml.head import build_head

    settings = Settings.model_validate(
        {
            "images": {"size": size},
            "variants": {"m": {"backbone": "mobilenet", "alpha": alpha}},
            "weights": "random",
        }
    )
    grid = build_backbone(settings, "m").output_shape[1:]
    head = build_head(grid, len(CLASSES), settings.train)
    export_model(assemble_model(settings, "m", head, "float32"), size, CLASSES, folder)


def _small(number: int) -> bytes:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.open(io.BytesIO(draw(number))).resize((64, 64)).save(stream, "JPEG")
    return stream.getvalue()


def _write_requests(folder: Path, images: Sequence[bytes]) -> dict[str, list[Path]]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    files: dict[str, list[Path]] = {"grpc": [], "rest": []}
    for number, image in enumerate(images):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "m"
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image]))
        body = {"instances": [{"b64": base64.b64encode(image).decode()}]}
        for protocol, data in (("grpc", request.SerializeToString()), ("rest", json.dumps(body).encode())):
            path = folder / f"{protocol}-{number}"
            path.write_bytes(data)
            files[protocol].append(path)
    return files


@contextmanager
def _server(base: Path, folder: Path, flags: Sequence[str] = ()) -> Iterator[_Server]:
    parameters = folder / "batching.pbtxt"
    parameters.write_text(BATCHING, encoding="utf-8")
    grpc_port, rest_port = _free_port(), _free_port()
    command = [sys.executable, "-m", "serving.server", "--model_name=m", f"--model_base_path={base}"]
    command += [f"--port={grpc_port}", f"--rest_api_port={rest_port}"]
    command += ["--enable_batching", f"--batching_parameters_file={parameters}", *flags]
    log = folder / f"server-{grpc_port}.log"
    with log.open("wb") as output, subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output) as process:
        try:
            _wait(process, grpc_port, log)
            yield _Server(process, grpc_port, rest_port)
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The server does not answer:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    print(json.dumps(measure(QUICK), indent=2))  # noqa: T201 - a try, of which nothing is kept
