"""The exported model answers as the Keras model does, in whatever form an image comes."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml.backbones import build_backbone
from ml.config import Settings
from ml.export import assemble_ensemble, assemble_model, assemble_scaled, export_model
from ml.head import build_head
from ml.images import inspect_image
from ml.preprocessing import decode_batch

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")
SIZE = 64
EACH = 5
#: Adam7: where the pixels of each pass begin, and how far apart they are.
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def save(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(image, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(image, "JPEG", exif=exif)


def sixteen_bits(image):
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    return save(Image.fromarray(grey * 200 + 3000), "PNG")


def interlaced(image):
    """Pillow writes none."""
    pixels = np.asarray(image)
    rows = b"".join(
        b"\0" + row.tobytes() for y, x, down, across in PASSES for row in pixels[y::down, x::across] if row.size
    )

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


FORMS = {
    "JPEG": lambda image: save(image, "JPEG"),
    "JPEG, grey": lambda image: save(image.convert("L"), "JPEG"),
    "JPEG, CMYK": lambda image: save(image.convert("CMYK"), "JPEG"),
    "JPEG, progressive": lambda image: save(image, "JPEG", progressive=True),
    "JPEG, colours at full size": lambda image: save(image, "JPEG", subsampling=0, quality=95),
    "JPEG, coarse": lambda image: save(image, "JPEG", quality=5),
    "JPEG, restart markers": lambda image: save(image, "JPEG", restart_marker_rows=1),
    "JPEG, mirrored": lambda image: turned(image, 2),
    "JPEG, upside down": lambda image: turned(image, 3),
    "JPEG, on its side": lambda image: turned(image, 6),
    "PNG": lambda image: save(image, "PNG"),
    "PNG, grey": lambda image: save(image.convert("L"), "PNG"),
    "PNG, 16 bits": sixteen_bits,
    "PNG, 1 bit": lambda image: save(image.convert("1"), "PNG"),
    "PNG, palette": lambda image: save(image.quantize(64), "PNG"),
    "PNG, palette of 4 bits": lambda image: save(image.quantize(16), "PNG", bits=4),
    "PNG, alpha": lambda image: save(image.convert("RGBA"), "PNG"),
    "PNG, grey and alpha": lambda image: save(image.convert("LA"), "PNG"),
    "PNG, interlaced": interlaced,
    "BMP": lambda image: save(image, "BMP"),
}


def draw(seed):
    """Smooth colours with an edge, of odd sizes on both sides of the model's."""
    random = np.random.default_rng(seed)
    width, height = (int(side) for side in random.integers(33, 150, 2))
    coarse = Image.fromarray(random.integers(0, 256, (5, 4, 3), np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).copy()
    pixels[: height // 3, : width // 2] = random.integers(0, 256, 3)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def sent():
    """A hundred images, by form."""
    return {
        name: [form(draw(100 * row + seed)) for seed in range(EACH)] for row, (name, form) in enumerate(FORMS.items())
    }


def settings_of(size=SIZE, **variants):
    return Settings.model_validate(
        {
            "images": {"size": size, "min_side": 16},
            "variants": variants,
            "weights": "random",
            "train": {"units": 16, "heads": 2, "key_dim": 8},
        }
    )


def trained_like(head):
    """A head whose probabilities differ from image to image, as those of random weights hardly do."""
    head.get_layer("probabilities").kernel.assign(head.get_layer("probabilities").kernel * 20)
    return head


@pytest.fixture(scope="module")
def keras_model():
    """Backbone and head, as Keras computes them."""
    settings = settings_of(narrow={"backbone": "mobilenet", "alpha": 0.25})
    backbone = build_backbone(settings, "narrow")
    head = trained_like(build_head(backbone.output_shape[1:], len(CLASSES), settings.train))
    return settings, backbone, head


@pytest.fixture(scope="module")
def signatures(keras_model, tmp_path_factory):
    settings, _, head = keras_model
    folder = tmp_path_factory.mktemp("forms") / "model"
    export_model(assemble_model(settings, "narrow", head, "float32"), SIZE, CLASSES, folder)
    return tf.saved_model.load(str(folder)).signatures


def compare(keras_model, signatures, images):
    _, backbone, head = keras_model
    expected = head(backbone(decode_batch(tf.constant(images), SIZE), training=False), training=False)
    answer = signatures["explain"](image_bytes=tf.constant(images))
    assert set(answer["status"].numpy()) == {b"OK"}
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-5)
    np.testing.assert_allclose(answer["attention"], expected["attention"], atol=1e-5)
    return answer["probabilities"].numpy()


@pytest.mark.parametrize("form", FORMS)
def test_image_as_a_client_sends_it(keras_model, signatures, sent, form):
    compare(keras_model, signatures, sent[form])


@pytest.mark.parametrize("form", FORMS)
def test_image_as_ingest_stores_it(keras_model, signatures, sent, form):
    limits = keras_model[0].images
    stored = [inspect_image(data, limits).canonical_png or data for data in sent[form]]

    compare(keras_model, signatures, stored)


def test_answers_depend_on_the_image(keras_model, signatures, sent):
    probabilities = compare(keras_model, signatures, [images[0] for images in sent.values()])

    assert len(FORMS) * EACH == 100
    assert np.ptp(probabilities, axis=0).max() > 0.01


@pytest.mark.slow
def test_ensemble_of_all_backbones_is_exported_with_its_weights_stored_once(tmp_path):
    names = ("mobilenet", "vgg16", "vgg19", "xception")
    size = 96  # Xception takes no less than 71
    settings = settings_of(size, **{name: {"backbone": name} for name in names})
    models, grids, weights = [], [], 0
    for name in names:
        backbone = build_backbone(settings, name)
        head = trained_like(build_head(backbone.output_shape[1:], len(CLASSES), settings.train))
        models.append(assemble_model(settings, name, head, "float32"))
        grids.append(backbone.output_shape[1:3])
        weights += sum(np.prod(weight.shape) * 4 for weight in (*backbone.weights, *head.weights))
    model = assemble_scaled(assemble_ensemble(models, [0.25] * 4, grids), 1.5)
    images = tf.constant(np.random.default_rng(0).random((2, size, size, 3), np.float32))
    expected = model(images)["probabilities"].numpy()

    export_model(model, size, CLASSES, tmp_path / "model")

    written = sum(path.stat().st_size for path in (tmp_path / "model").rglob("*") if path.is_file())
    assert 0.98 * weights < written < 1.02 * weights
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_tensor"](images=images)
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5)
