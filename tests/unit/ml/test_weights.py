import hashlib
import importlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from ml import weights
from ml.backbones import BACKBONES, build_backbone
from ml.errors import ConfigError, WeightsError

NARROW = {"narrow": {"backbone": "mobilenet", "alpha": 0.25}}
NARROW_FILE = "mobilenet_2_5_224_tf_no_top.h5"
VGG16 = {"vgg16": {"backbone": "vgg16"}}
VGG16_FILE = BACKBONES["vgg16"].weights_file


class FileServer:
    """Serves ``files`` by path; cuts every answer after ``cut`` bytes, or gives none while it ``hangs``."""

    def __init__(self):
        self.files, self.asked, self.cut, self.hangs = {}, [], None, False
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                if server.hangs:
                    server._over.wait()
                    return
                data = server.files.get(self.path)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write((data or b"")[: server.cut])

            def log_message(self, *arguments):
                pass

        return Handler


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


@pytest.fixture
def mirrored(make_settings, mirror):
    def settings(variants=NARROW, **weights):
        weights = {"source": "imagenet", "mirror": str(mirror), "download": False} | weights
        return make_settings({"variants": variants, "weights": weights})

    return settings


@pytest.fixture
def narrow_file(mirror):
    """Keras's own file of narrow MobileNet, as Keras publishes it, with weights of our own."""
    network = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(32, 32, 3))
    for weight in network.weights:
        weight.assign(np.random.default_rng(3).random(weight.shape) * 0.1)
    with h5py.File(mirror / NARROW_FILE, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return network


@pytest.fixture
def narrow_bytes(narrow_file, mirror):
    return (mirror / NARROW_FILE).read_bytes()


@pytest.fixture
def keras_cache(monkeypatch, tmp_path):
    """The folder that Keras keeps downloads in."""
    home = tmp_path / "keras"
    home.mkdir()
    # Keras reads KERAS_HOME when it is imported.
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(home))
    return home / "models"


@pytest.fixture
def keras_site(monkeypatch, keras_cache):
    """What Keras publishes, on this machine."""
    server = FileServer()
    monkeypatch.setattr(weights, "KERAS_FILES", server.url)
    yield server
    server.close()


@pytest.fixture
def downloaded(mirrored):
    return lambda variants=NARROW, **weights: mirrored(variants, mirror=None, download=True, **weights)


@pytest.fixture
def on_s3(moto_server, s3_credentials, make_settings, tmp_path):
    """A mirror in a bucket of its own: the bucket, and settings that name it."""
    name = f"weights-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]}"

    def settings(**weights):
        return make_settings(
            {
                "store": {"endpoint_url": moto_server.endpoint},
                "variants": NARROW,
                "weights": {"source": "imagenet", "mirror": f"s3://{name}/keras", "download": False} | weights,
            }
        )

    return moto_server.bucket(name), settings


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def holds_the_weights_of(backbone, network):
    pairs = zip(backbone.weights, network.weights, strict=True)
    return all(np.array_equal(found.numpy(), expected.numpy()) for found, expected in pairs)


def test_weights_come_from_the_mirror(mirrored, narrow_file):
    backbone = build_backbone(mirrored(), "narrow")

    for found, expected in zip(backbone.weights, narrow_file.weights, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_weights_come_from_a_mirror_behind_a_url(mirrored, mirror, narrow_file):
    backbone = build_backbone(mirrored(mirror=mirror.as_uri()), "narrow")

    np.testing.assert_array_equal(backbone.weights[0].numpy(), narrow_file.weights[0].numpy())


def test_file_that_the_mirror_lacks_is_named(mirrored):
    with pytest.raises(WeightsError, match=rf"There is no {NARROW_FILE} in the weights mirror .*download: true"):
        build_backbone(mirrored(), "narrow")


def test_file_with_another_digest_is_refused(mirrored, mirror):
    name = BACKBONES["vgg16"].weights_file
    (mirror / name).write_bytes(b"not what Keras publishes")
    digest = hashlib.md5(b"not what Keras publishes", usedforsecurity=False).hexdigest()

    with pytest.raises(WeightsError, match=rf"{name} has MD5 {digest}, Keras publishes 6d6bbae1"):
        build_backbone(mirrored({"vgg16": {"backbone": "vgg16"}}), "vgg16")


def test_file_that_holds_something_else_is_refused(mirrored, mirror):
    (mirror / NARROW_FILE).write_bytes(b"not HDF5")

    with pytest.raises(WeightsError, match=rf"{NARROW_FILE} does not hold Keras's weights for MobileNet"):
        build_backbone(mirrored(), "narrow")


def test_file_of_another_width_is_refused(mirrored, mirror, narrow_file):
    (mirror / NARROW_FILE).rename(mirror / "mobilenet_5_0_224_tf_no_top.h5")

    with pytest.raises(WeightsError, match=r"does not hold Keras's weights for MobileNet with .*0\.5"):
        build_backbone(mirrored({"half": {"backbone": "mobilenet", "alpha": 0.5}}), "half")


def test_width_without_published_weights_is_refused(mirrored):
    with pytest.raises(WeightsError, match=r"no ImageNet weights for alpha 0.3.*0.75"):
        build_backbone(mirrored({"odd": {"backbone": "mobilenet", "alpha": 0.3}}), "odd")


def test_without_mirror_and_download_there_is_nowhere_to_look(mirrored):
    with pytest.raises(WeightsError, match=rf"{NARROW_FILE} is neither in a mirror nor may it be downloaded"):
        build_backbone(mirrored(mirror=None), "narrow")


def test_wrong_file_in_a_mirror_stays_there(mirrored, mirror):
    (mirror / VGG16_FILE).write_bytes(b"not what Keras publishes")

    with pytest.raises(WeightsError):
        build_backbone(mirrored(VGG16), "vgg16")
    assert (mirror / VGG16_FILE).read_bytes() == b"not what Keras publishes"


def test_wrong_file_in_a_mirror_is_not_passed_over_for_the_download(mirrored, mirror, keras_site):
    (mirror / VGG16_FILE).write_bytes(b"not what Keras publishes")

    with pytest.raises(WeightsError, match="MD5"):
        build_backbone(mirrored(VGG16, download=True), "vgg16")
    assert keras_site.asked == []


@pytest.mark.parametrize("case", [str.lower, str.upper], ids=["small letters", "capitals"])
def test_file_with_its_pinned_digest_is_taken(mirrored, narrow_file, narrow_bytes, case):
    settings = mirrored(sha256={NARROW_FILE: case(sha256(narrow_bytes))})

    assert holds_the_weights_of(build_backbone(settings, "narrow"), narrow_file)


def test_mirrored_file_without_its_pinned_digest_is_refused(mirrored, narrow_bytes):
    pinned = sha256(b"another file")

    with pytest.raises(WeightsError, match=rf"{sha256(narrow_bytes)}, `weights.sha256` says {pinned}"):
        build_backbone(mirrored(sha256={NARROW_FILE: pinned}), "narrow")


def test_pinned_name_that_keras_does_not_publish_is_refused(mirrored):
    with pytest.raises(ConfigError, match=rf"names mobilenet\.h5, which Keras does not publish.*{NARROW_FILE}"):
        build_backbone(mirrored(sha256={"mobilenet.h5": sha256(b"")}), "narrow")


def test_weights_come_from_a_bucket(on_s3, narrow_file, narrow_bytes):
    bucket, settings = on_s3
    bucket.put_object(Key=f"keras/{NARROW_FILE}", Body=narrow_bytes)

    assert holds_the_weights_of(build_backbone(settings(), "narrow"), narrow_file)


def test_file_that_the_bucket_lacks_is_named(on_s3):
    _, settings = on_s3

    with pytest.raises(WeightsError, match=rf"There is no {NARROW_FILE} in the weights mirror s3://"):
        build_backbone(settings(), "narrow")


@pytest.mark.parametrize("pinned", [True, False], ids=["found by its digest", "found by its content"])
def test_spoilt_copy_of_a_bucket_s_file_is_replaced(on_s3, narrow_file, narrow_bytes, pinned):
    bucket, settings = on_s3
    bucket.put_object(Key=f"keras/{NARROW_FILE}", Body=narrow_bytes)
    settings = settings(sha256={NARROW_FILE: sha256(narrow_bytes)} if pinned else {})
    build_backbone(settings, "narrow")
    (copy,) = (settings.store.cache_dir / "weights").iterdir()
    copy.write_bytes(bytes(len(narrow_bytes)))

    assert holds_the_weights_of(build_backbone(settings, "narrow"), narrow_file)
    assert copy.read_bytes() == narrow_bytes


def test_wrong_file_in_a_bucket_is_named_and_not_kept(on_s3):
    bucket, settings = on_s3
    bucket.put_object(Key=f"keras/{NARROW_FILE}", Body=b"not HDF5")
    settings = settings()

    with pytest.raises(WeightsError, match=rf"s3://.*/keras/{NARROW_FILE} does not hold Keras's weights.*the mirror"):
        build_backbone(settings, "narrow")
    assert list((settings.store.cache_dir / "weights").iterdir()) == []


@pytest.mark.parametrize("mirror_is_empty", [True, False], ids=["mirror lacks it", "no mirror"])
def test_weights_come_by_keras_s_download(mirrored, keras_site, narrow_file, narrow_bytes, mirror, mirror_is_empty):
    keras_site.files = {f"/mobilenet/{NARROW_FILE}": narrow_bytes}
    (mirror / NARROW_FILE).unlink()
    settings = mirrored(download=True, **({} if mirror_is_empty else {"mirror": None}))

    assert holds_the_weights_of(build_backbone(settings, "narrow"), narrow_file)
    build_backbone(settings, "narrow")
    assert keras_site.asked == [f"/mobilenet/{NARROW_FILE}"]


@pytest.mark.parametrize("name", BACKBONES)
def test_download_is_the_one_that_keras_knows(name):
    application = BACKBONES[name].application
    source = importlib.import_module(f"keras.src.applications.{name}")
    address = f"{weights.KERAS_FILES}/{application.lower()}/{BACKBONES[name].weights_file}"

    if name == "mobilenet":
        assert address.startswith(source.BASE_WEIGHT_PATH)
    else:
        assert address == source.WEIGHTS_PATH_NO_TOP


def test_download_with_another_digest_is_refused_and_not_kept(downloaded, keras_site, keras_cache):
    keras_site.files = {f"/vgg16/{VGG16_FILE}": b"a proxy's page"}

    with pytest.raises(WeightsError, match=rf"{VGG16_FILE} has MD5 .*, Keras publishes 6d6bbae1.*weights.mirror"):
        build_backbone(downloaded(VGG16), "vgg16")
    assert list(keras_cache.iterdir()) == []


def test_download_without_its_pinned_digest_is_refused_and_not_kept(downloaded, keras_site, keras_cache, narrow_bytes):
    keras_site.files = {f"/mobilenet/{NARROW_FILE}": narrow_bytes}

    with pytest.raises(WeightsError, match=rf"{NARROW_FILE} has SHA-256 .*`weights.sha256` says"):
        build_backbone(downloaded(sha256={NARROW_FILE: sha256(b"")}), "narrow")
    assert list(keras_cache.iterdir()) == []


def test_download_that_is_cut_off_is_not_kept(downloaded, keras_site, keras_cache, narrow_file, narrow_bytes):
    keras_site.files = {f"/mobilenet/{NARROW_FILE}": narrow_bytes}
    keras_site.cut = len(narrow_bytes) // 2

    with pytest.raises(WeightsError, match=r"for MobileNet cannot be downloaded from .*weights.mirror"):
        build_backbone(downloaded(), "narrow")
    assert list(keras_cache.iterdir()) == []
    keras_site.cut = None
    assert holds_the_weights_of(build_backbone(downloaded(), "narrow"), narrow_file)


def test_part_of_a_download_that_was_killed_is_replaced(downloaded, keras_site, keras_cache, narrow_file, narrow_bytes):
    keras_site.files = {f"/mobilenet/{NARROW_FILE}": narrow_bytes}
    keras_cache.mkdir()
    (keras_cache / NARROW_FILE).write_bytes(narrow_bytes[: len(narrow_bytes) // 2])

    assert holds_the_weights_of(build_backbone(downloaded(), "narrow"), narrow_file)


def test_server_that_hangs_is_given_up(downloaded, keras_site, keras_cache):
    keras_site.hangs = True
    started = time.monotonic()

    with pytest.raises(WeightsError, match=r"ImageNet weights for MobileNet cannot be downloaded.*timed out"):
        build_backbone(downloaded(timeout_seconds=0.5), "narrow")
    assert time.monotonic() - started < 10
    assert socket.getdefaulttimeout() is None


def test_file_that_the_server_lacks_is_named(downloaded, keras_site):
    with pytest.raises(WeightsError, match=rf"cannot be downloaded from .*{NARROW_FILE}: .*404"):
        build_backbone(downloaded(), "narrow")


def test_download_that_fails_says_what_to_do(mirrored, monkeypatch, keras_cache):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with pytest.raises(WeightsError, match=r"ImageNet weights for MobileNet cannot be downloaded.*weights.mirror"):
        build_backbone(mirrored(download=True, timeout_seconds=1), "narrow")
    assert socket.getdefaulttimeout() is None
