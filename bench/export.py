"""What an exported model costs: weights as variables against constants, and images decoded each for itself."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ml.config import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.record import Measured

__all__ = ["measure"]

SIZE, CLASSES = 224, ("a", "b", "c", "d")
BACKBONES = ("mobilenet", "vgg16")
BATCHES = {1: 40, 32: 5}
PHOTOS = ((640, 480), (512, 512))
#: Prints what loading a SavedModel and calling its signatures adds to a process, bytes.
MEMORY = """
import sys
from pathlib import Path
import tensorflow as tf
resident = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before = resident()
signatures = tf.saved_model.load(sys.argv[1]).signatures
image = tf.io.encode_jpeg(tf.zeros((300, 300, 3), tf.uint8))
for name in ("serving_default", "serving_tensor", "explain"):
    tensor = name == "serving_tensor"
    signatures[name](**({"images": tf.zeros((1, 224, 224, 3))} if tensor else {"image_bytes": [image]}))
print(resident() - before)
"""


def measure() -> Measured:
    """Interleave the two forms of each comparison; medians count."""
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    _measure_decoding(figures, ratios)
    for backbone in BACKBONES:
        with tempfile.TemporaryDirectory() as folder:
            _measure_weights(backbone, Path(folder), figures, ratios)
    return {
        "question": "What do weights as variables, shared by all signatures, and an answer for each image cost?",
        "baseline": "the same graph with its weights as constants; tf.map_fn over the images, which one broken image "
        "stops",
        "figures": figures,
        "ratios": ratios,
    }


def _measure_decoding(figures: dict[str, float], ratios: dict[str, float]) -> None:
    import tensorflow as tf

    from ml.preprocessing import decode_batch, decode_each

    specification = [tf.TensorSpec([None], tf.string)]
    together = tf.function(lambda encoded: decode_batch(encoded, SIZE), input_signature=specification)
    each = tf.function(lambda encoded: decode_each(encoded, SIZE, 50_000_000)[0], input_signature=specification)
    for width, height in PHOTOS:
        for count, calls in BATCHES.items():
            encoded = tf.constant([_photo(width, height)] * count)
            name = f"decode_{width}x{height}_batch_{count}"
            _compare(name, partial(together, encoded), partial(each, encoded), calls, figures, ratios)


def _measure_weights(backbone: str, folder: Path, figures: dict[str, float], ratios: dict[str, float]) -> None:
    import tensorflow as tf

    from ml.export import export_model
    from ml.signatures import ServedModel

    model = _model(backbone)
    export_model(model, SIZE, CLASSES, folder / "variables")
    constant = ServedModel(model, SIZE, CLASSES, 50_000_000)
    tf.saved_model.save(constant, str(folder / "constants"), signatures=constant.signatures())
    loaded = {form: tf.saved_model.load(str(folder / form)).signatures for form in ("constants", "variables")}
    for form in loaded:
        files = [path for path in (folder / form).rglob("*") if path.is_file()]
        figures[f"{backbone}_{form}_size_mb"] = sum(path.stat().st_size for path in files) / 1e6
        figures[f"{backbone}_{form}_memory_mb"] = _memory(folder / form) / 1e6
    ratios[f"{backbone}_memory"] = (
        figures[f"{backbone}_constants_memory_mb"] / figures[f"{backbone}_variables_memory_mb"]
    )
    for count, calls in BATCHES.items():
        images = tf.constant(np.random.default_rng(0).random((count, SIZE, SIZE, 3), np.float32))
        baseline, own = (partial(loaded[form]["serving_tensor"], images=images) for form in ("constants", "variables"))
        _compare(f"{backbone}_batch_{count}", baseline, own, calls, figures, ratios)


def _model(backbone: str) -> Callable[..., Any]:
    from ml.backbones import build_backbone
    from ml.export import assemble_model
    from ml.head import build_head

    document = {"images": {"size": SIZE}, "variants": {"v": {"backbone": backbone}}, "weights": "random"}
    settings = Settings.model_validate(document)
    shape = build_backbone(settings, "v").output_shape[1:]
    return assemble_model(settings, "v", build_head(shape, len(CLASSES), settings.train), "float32")


def _photo(width: int, height: int) -> bytes:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _memory(folder: Path) -> int:
    done = subprocess.run([sys.executable, "-c", MEMORY, folder], capture_output=True, text=True, check=True)
    return int(done.stdout)


def _compare(
    name: str,
    baseline: Callable[[], Any],
    own: Callable[[], Any],
    calls: int,
    figures: dict[str, float],
    ratios: dict[str, float],
) -> None:
    """Milliseconds of both, call by call in turn; the first calls build their graphs and do not count."""
    times: dict[str, list[float]] = {"baseline": [], "own": []}
    for call in range(calls + 2):
        for form, function in (("baseline", baseline), ("own", own)):
            started = time.perf_counter()
            function()
            if call >= 2:
                times[form].append((time.perf_counter() - started) * 1000)
    medians = {form: float(np.median(values)) for form, values in times.items()}
    figures |= {f"{name}_{form}_ms": value for form, value in medians.items()}
    ratios[name] = medians["baseline"] / medians["own"]
