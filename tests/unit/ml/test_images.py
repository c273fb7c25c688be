from __future__ import annotations

import hashlib
import io
import resource
import struct
import warnings
import zlib
from contextlib import suppress

import cv2
import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ml.config import ImageSettings
from ml.images import RefusedImageError, inspect_image, pixel_id_of

SETTINGS = ImageSettings()
WIDTH, HEIGHT = 48, 40


def noise(bands: int = 3, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def encode(image: Image.Image | np.ndarray, format_name: str, **options) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, format_name, **options)
    return stream.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def decode(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def pixel_id(pixels: np.ndarray) -> str:
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def png_claiming(width: int, height: int) -> bytes:
    """A sound PNG but for its size in pixels."""
    data = bytearray(encode(noise(), "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def tiff_claiming(width: int, height: int) -> bytes:
    data = bytearray(encode(noise(), "TIFF"))
    for tag, value in ((256, width), (257, height)):
        place = data.index(struct.pack("<HH", tag, 4), struct.unpack_from("<I", data, 4)[0])
        struct.pack_into("<II", data, place + 4, 1, value)
    return bytes(data)


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(encode(noise(), "JPEG"))
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, height, width)
    return bytes(data)


def webp_claiming(width: int, height: int) -> bytes:
    frame = encode(noise(), "WEBP", lossless=True)[12:]
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sizes + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def refusal(data: bytes, **limits) -> RefusedImageError:
    with pytest.raises(RefusedImageError) as error:
        inspect_image(data, ImageSettings(**limits))
    return error.value


RGB = noise()
GREY = noise(1)
RGBA = np.dstack([RGB, noise(1, seed=1)])
DEEP = np.linspace(1000, 3000, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint16)
STRETCHED = np.repeat(np.round((DEEP - 1000.0) * 255 / 2000).astype(np.uint8)[:, :, None], 3, axis=2)
GAPS = DEEP.astype(np.float32)
GAPS[5, :3] = np.nan, np.inf, -np.inf
GAPS.view(np.uint32)[5, 3] = 0x7F800001  # a signalling NaN
FILLED = STRETCHED.copy()
FILLED[5, :4] = [[0], [255], [0], [0]]
PALETTE = Image.fromarray(RGB).quantize(16)
CLEAR_WITHIN = encode(PALETTE, "PNG", transparency=bytes(range(0, 256, 16)))
DEEP_RGB = cv2.imencode(".png", RGB[:, :, ::-1].astype(np.uint16) * 256 + 200)[1].tobytes()
CMYK = Image.fromarray(RGB).convert("CMYK")
WHOLE = {
    "JPEG": encode(RGB, "JPEG"),
    "PNG": encode(RGB, "PNG"),
    "TIFF": encode(RGB, "TIFF"),
    "TIFF-LZW": encode(RGB, "TIFF", compression="tiff_lzw"),
    "BMP": encode(RGB, "BMP"),
    "WEBP": encode(RGB, "WEBP", lossless=True),
}

VARIED = WHOLE | {
    "JPEG with EXIF": encode(RGB, "JPEG", exif=turned(6)),
    "JPEG progressive": encode(RGB, "JPEG", progressive=True),
    "JPEG CMYK": encode(CMYK, "JPEG"),
    "JPEG of several": encode(RGB, "MPO", save_all=True, append_images=[Image.fromarray(RGB)]),
    "PNG P": CLEAR_WITHIN,
    "PNG 16 bits": encode(DEEP, "PNG"),
    "PNG with EXIF": encode(RGBA, "PNG", exif=turned(8)),
    "TIFF F": encode(GAPS, "TIFF"),
    "TIFF JPEG": encode(RGB, "TIFF", compression="jpeg"),
    "TIFF P": encode(PALETTE, "TIFF"),
    "TIFF with EXIF": encode(GREY, "TIFF", compression="packbits", exif=turned(3)),
    "BMP P": encode(PALETTE, "BMP"),
    "WEBP lossy": encode(RGBA, "WEBP", exif=turned(5)),
}


@pytest.mark.parametrize(
    ("data", "limits", "reason", "detail"),
    [
        pytest.param(b"", {}, "empty", "0 bytes", id="empty"),
        pytest.param(b"x" * 11, {"max_bytes": 10}, "too_many_bytes", "11 bytes, at most 10", id="bytes"),
        pytest.param(b"Some text.\n", {}, "not_an_image", "none of JPEG, PNG, TIFF, BMP, WEBP, DICOM", id="text"),
        pytest.param(b"<!DOCTYPE html><html><body>404</body></html>", {}, "not_an_image", "none of", id="web page"),
        pytest.param(b"PK\x03\x04\x14" + bytes(99), {}, "not_an_image", "none of", id="zip"),
        pytest.param(b"%PDF-1.7\n" + bytes(99), {}, "not_an_image", "none of", id="PDF"),
        pytest.param(b"\xff", {}, "not_an_image", "none of", id="one byte"),
        pytest.param(encode(RGB, "ICO"), {}, "not_an_image", "none of", id="icon"),
        pytest.param(WHOLE["BMP"], {"formats": ("PNG",)}, "not_an_image", "none of PNG", id="format left out"),
        pytest.param(encode(GREY, "GIF"), {}, "unsupported_form", "GIF", id="GIF"),
        pytest.param(
            encode(RGB, "TIFF", save_all=True, append_images=[Image.fromarray(RGB)] * 2),
            {},
            "unsupported_form",
            "TIFF with several frames",
            id="pages",
        ),
        pytest.param(
            encode(RGB, "PNG", save_all=True, append_images=[Image.fromarray(noise(seed=1))]),
            {},
            "unsupported_form",
            "PNG with several frames",
            id="animated PNG",
        ),
        pytest.param(
            encode(RGB, "WEBP", save_all=True, append_images=[Image.fromarray(noise(seed=1))]),
            {},
            "unsupported_form",
            "WEBP with several frames",
            id="animated WebP",
        ),
        pytest.param(WHOLE["PNG"], {"max_pixels": 1919}, "too_many_pixels", "48x40, at most 1919 pixels", id="pixels"),
        pytest.param(png_claiming(9000, 12000), {}, "too_many_pixels", "9000x12000, at most 50000000", id="warned of"),
        pytest.param(png_claiming(2**16, 2**16), {}, "too_many_pixels", "4294967296 pixels", id="bomb"),
        pytest.param(WHOLE["PNG"], {"min_side": 41}, "too_small", "48x40, at least 41 a side", id="low"),
        pytest.param(encode(RGB[:, :31], "PNG"), {}, "too_small", "31x40, at least 32 a side", id="narrow"),
    ],
)
def test_what_is_no_acceptable_image_is_refused_with_the_reason(data, limits, reason, detail):
    error = refusal(data, **limits)

    assert error.reason == reason
    assert detail in error.detail
    assert str(error) == f"{reason}: {error.detail}"


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", WHOLE)
def test_an_image_that_is_cut_short_is_refused(name, kept):
    data = WHOLE[name]

    assert refusal(data[: int(len(data) * kept)]).reason in {"truncated", "not_an_image"}


@pytest.mark.parametrize("name", VARIED)
def test_an_image_that_is_cut_after_its_mark_is_truncated_wherever_the_cut_is(name):
    data = VARIED[name]
    lengths = [*range(16, 200), *range(200, len(data) // 2, 29)]

    assert {refusal(data[:length]).reason for length in lengths} == {"truncated"}


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        pytest.param(WHOLE["PNG"][:33], "begins like PNG, but its header cannot be read", id="cut"),
        pytest.param(b"\xff\xd8\xff" + bytes(99), "begins like JPEG, but its header cannot be read", id="a mark alone"),
        pytest.param(cv2.imencode(".tiff", np.zeros((40, 48)))[1].tobytes(), "unknown pixel mode", id="float64"),
    ],
)
def test_a_header_that_cannot_be_read_is_told_with_its_format(data, detail):
    error = refusal(data)

    assert error.reason == "truncated"
    assert detail in error.detail


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """A few bytes changed near an end, where headers are, or a piece cut out or doubled."""
    copy = bytearray(data)
    for _ in range(generator.integers(1, 5)):
        place = int(len(copy) * generator.random() ** 4)
        copy[-1 - place if generator.random() < 0.3 else place] = generator.integers(256)
    begin, length = generator.integers(200), generator.integers(1, 40)
    copy[begin : begin + length] *= generator.choice(3, p=[0.1, 0.8, 0.1])
    return bytes(copy)


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(name=st.sampled_from(sorted(VARIED)), seed=st.integers(0, 2**32))
def test_a_damaged_image_is_refused_or_read_but_never_an_accident(name, seed):
    data = damaged(VARIED[name], np.random.default_rng(seed))
    with suppress(RefusedImageError):
        assert inspect_image(data, SETTINGS).format in name


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(head=st.sampled_from([b"", *(data[:8] for data in WHOLE.values())]), tail=st.binary(max_size=300))
def test_any_bytes_are_refused_or_read_but_never_an_accident(head, tail):
    with suppress(RefusedImageError):
        assert inspect_image(head + tail, SETTINGS).width


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png_claiming(100_000, 100_000), id="PNG"),
        pytest.param(tiff_claiming(100_000, 100_000), id="TIFF"),
        pytest.param(tiff_claiming(12_000, 12_000), id="TIFF that Pillow allows"),
        pytest.param(jpeg_claiming(65_500, 65_500), id="JPEG"),
        pytest.param(webp_claiming(16_383, 16_383), id="WebP"),
        pytest.param(webp_claiming(2**24, 255), id="WebP beyond its limits"),
    ],
)
def test_pixels_that_a_header_only_claims_take_no_memory(data):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert refusal(data).reason == "too_many_pixels"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 2**10  # KiB


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        (b"zTXt", b"Comment\0\0", "truncated"),
        (b"iTXt", b"Comment\0\1\0\0\0", "truncated"),
        (b"iCCP", b"Profile\0\0", "truncated"),
    ],
    ids=["text", "international text", "profile"],
)
def test_a_chunk_that_inflates_without_end_is_refused(kind, content, reason):
    content += zlib.compress(bytes(64 * 2**20), 9)
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    data = WHOLE["PNG"][:33] + chunk + WHOLE["PNG"][33:]

    assert refusal(data).reason == reason


def test_a_chain_of_tiff_pages_is_refused_at_the_second():
    data = bytearray(WHOLE["TIFF"])
    first = struct.unpack_from("<I", data, 4)[0]
    following = first + 2 + 12 * struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, following, len(data))
    for _ in range(1000):
        data += struct.pack("<HI", 0, len(data) + 6)

    assert refusal(bytes(data)).detail == "TIFF with several frames"


def test_a_jpeg_with_pictures_behind_it_is_its_first():
    data = encode(RGB, "MPO", save_all=True, append_images=[Image.fromarray(noise(seed=1))])
    image = inspect_image(data, SETTINGS)

    assert (image.format, image.extension, image.canonical_png) == ("JPEG", "jpg", None)
    assert image.pixel_id == inspect_image(encode(decode(encode(RGB, "JPEG")), "PNG"), SETTINGS).pixel_id


JPEG_KINDS = {
    "plain": {},
    "progressive": {"progressive": True},
    "full colour": {"subsampling": 0},
    "half colour": {"subsampling": 1},
    "own code tables": {"optimize": True},
    "restarts": {"restart_marker_blocks": 2},
    "stored as RGB": {"keep_rgb": True},
    "coarse": {"quality": 3},
}


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    kind=st.sampled_from(sorted(JPEG_KINDS)),
    bands=st.sampled_from([1, 3]),
    size=st.tuples(st.integers(32, 99), st.integers(32, 99)),
    seed=st.integers(0, 99),
)
def test_a_jpeg_has_the_pixels_that_pillow_gives(kind, bands, size, seed):
    smooth = Image.fromarray(noise(bands, seed, (9, 9))).resize(size)
    options = {name: value for name, value in JPEG_KINDS[kind].items() if bands == 3 or name != "subsampling"}
    data = encode(smooth, "JPEG", **options)

    assert inspect_image(data, SETTINGS).pixel_id == pixel_id(decode(data))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(kind=st.sampled_from(sorted(JPEG_KINDS)), seed=st.integers(0, 2**32))
def test_a_damaged_jpeg_is_refused_where_pillow_refuses_it_and_else_has_its_pixels(kind, seed):
    data = damaged(encode(RGB, "JPEG", **JPEG_KINDS[kind]), np.random.default_rng(seed))
    with suppress(RefusedImageError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = inspect_image(data, SETTINGS)
        expected = data if image.canonical_png is None else image.canonical_png
        assert image.pixel_id == pixel_id(decode(expected))


def test_a_jpeg_with_two_headers_gets_memory_for_the_one_that_was_checked():
    data = encode(RGB, "JPEG")
    start = data.index(b"\xff\xc0")
    header = data[start : start + 2 + struct.unpack_from(">H", data, start + 2)[0]]
    huge = header[:5] + struct.pack(">HH", 40_000, 40_000) + header[9:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for first, second in ((huge, header), (header, huge)):
        two = data[:start] + first + second + data[start + len(header) :]
        assert refusal(two).reason in {"truncated", "too_many_pixels"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 2**10  # KiB


def test_inverted_inks_of_a_jpeg_are_read_as_they_were_meant():
    red = Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0))
    data = encode(red, "JPEG")
    image = inspect_image(data, SETTINGS)

    assert b"Adobe" in data  # its marker means that the inks are stored inverted
    np.testing.assert_allclose(decode(image.canonical_png)[0, 0].astype(int), [255, 0, 0], atol=3)


@pytest.mark.parametrize(
    ("data", "pixels", "channels"),
    [
        pytest.param(encode(RGB, "PNG"), RGB, 3, id="PNG RGB"),
        pytest.param(encode(GREY, "PNG"), np.dstack([GREY] * 3), 1, id="PNG L"),
        pytest.param(encode(RGBA, "PNG"), RGB, 4, id="PNG RGBA"),
        pytest.param(encode(np.dstack([GREY, GREY[::-1]]), "PNG"), np.dstack([GREY] * 3), 2, id="PNG LA"),
        pytest.param(encode(PALETTE, "PNG"), np.asarray(PALETTE.convert("RGB")), 1, id="PNG P"),
        pytest.param(encode(PALETTE, "PNG", transparency=3), np.asarray(PALETTE.convert("RGB")), 1, id="PNG P clear"),
        pytest.param(encode(GREY > 127, "PNG"), np.dstack([(GREY > 127) * np.uint8(255)] * 3), 1, id="PNG 1"),
        pytest.param(CLEAR_WITHIN, np.asarray(PALETTE.convert("RGB")), 1, id="PNG P half clear"),
        pytest.param(DEEP_RGB, RGB, 3, id="PNG RGB 16 bits"),
        pytest.param(encode(DEEP, "PNG"), STRETCHED, 1, id="PNG 16 bits"),
        pytest.param(encode(DEEP, "TIFF"), STRETCHED, 1, id="TIFF 16 bits"),
        pytest.param(encode(DEEP.astype(np.float32), "TIFF"), STRETCHED, 1, id="TIFF F"),
        pytest.param(encode(GAPS, "TIFF"), FILLED, 1, id="TIFF F with gaps"),
        pytest.param(encode(np.full_like(GAPS, np.nan), "TIFF"), np.zeros_like(RGB), 1, id="TIFF F of gaps"),
        pytest.param(encode(np.full_like(DEEP, 7), "PNG"), np.zeros_like(RGB), 1, id="PNG 16 bits of one value"),
        pytest.param(encode(DEEP.astype(np.int32) * 9000, "TIFF"), STRETCHED, 1, id="TIFF 32 bits"),
        pytest.param(encode(np.dstack([GREY, GREY[::-1]]), "TIFF"), np.dstack([GREY] * 3), 2, id="TIFF LA"),
        pytest.param(encode(PALETTE, "TIFF"), np.asarray(PALETTE.convert("RGB")), 1, id="TIFF P"),
        pytest.param(encode(PALETTE, "BMP"), np.asarray(PALETTE.convert("RGB")), 1, id="BMP P"),
        pytest.param(encode(CMYK, "TIFF"), np.asarray(CMYK.convert("RGB")), 4, id="TIFF CMYK"),
        pytest.param(encode(CMYK, "JPEG"), decode(encode(CMYK, "JPEG")), 4, id="JPEG CMYK"),
        pytest.param(encode(RGB, "JPEG"), decode(encode(RGB, "JPEG")), 3, id="JPEG RGB"),
        pytest.param(encode(RGB, "BMP"), RGB, 3, id="BMP RGB"),
        pytest.param(encode(RGBA, "WEBP", lossless=True, exact=True), RGB, 4, id="WEBP RGBA"),
    ],
)
def test_every_mode_becomes_its_rgb_pixels(data, pixels, channels):
    image = inspect_image(data, SETTINGS)

    assert (image.width, image.height, image.channels) == (WIDTH, HEIGHT, channels)
    np.testing.assert_array_equal(decode(image.canonical_png or data), pixels)
    assert image.pixel_id == inspect_image(encode(pixels, "PNG"), SETTINGS).pixel_id


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (0, RGB),
        (1, RGB),
        (2, RGB[:, ::-1]),
        (3, RGB[::-1, ::-1]),
        (4, RGB[::-1]),
        (5, np.swapaxes(RGB, 0, 1)),
        (6, np.rot90(RGB, -1)),
        (7, np.swapaxes(RGB[::-1, ::-1], 0, 1)),
        (8, np.rot90(RGB)),
        (9, RGB),
    ],
)
@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_an_image_is_turned_upright(format_name, orientation, upright):
    image = inspect_image(encode(RGB, format_name, exif=turned(orientation)), SETTINGS)

    assert (image.height, image.width) == upright.shape[:2]
    assert image.pixel_id == inspect_image(encode(upright, "PNG"), SETTINGS).pixel_id


@pytest.mark.parametrize(
    ("data", "needed"),
    [
        pytest.param(encode(GREY, "JPEG"), False, id="JPEG L"),
        pytest.param(encode(RGB, "JPEG"), False, id="JPEG RGB"),
        pytest.param(encode(GREY, "PNG"), False, id="PNG L"),
        pytest.param(encode(RGB, "PNG"), False, id="PNG RGB"),
        pytest.param(encode(RGB, "JPEG", exif=turned(1)), False, id="JPEG upright"),
        pytest.param(encode(RGB, "JPEG", exif=turned(9)), False, id="JPEG turned no way"),
        pytest.param(encode(RGB, "JPEG", exif=turned(6)), True, id="JPEG turned"),
        pytest.param(encode(RGB, "PNG", exif=turned(3)), True, id="PNG turned"),
        pytest.param(encode(CMYK, "JPEG"), True, id="JPEG CMYK"),
        pytest.param(encode(RGBA, "PNG"), True, id="PNG RGBA"),
        pytest.param(encode(PALETTE, "PNG"), True, id="PNG P"),
        pytest.param(encode(DEEP, "PNG"), True, id="PNG 16 bits"),
        pytest.param(WHOLE["TIFF"], True, id="TIFF"),
        pytest.param(WHOLE["BMP"], True, id="BMP"),
        pytest.param(WHOLE["WEBP"], True, id="WEBP"),
    ],
)
def test_a_canonical_copy_is_made_only_where_training_cannot_read_the_original(data, needed):
    image = inspect_image(data, SETTINGS)

    assert (image.canonical_png is not None) == needed
    if needed:
        again = inspect_image(image.canonical_png, SETTINGS)
        assert (again.pixel_id, again.canonical_png) == (image.pixel_id, None)


def test_pixels_have_one_id_whatever_the_file():
    images = [inspect_image(WHOLE[name], SETTINGS) for name in ("PNG", "BMP", "TIFF", "TIFF-LZW", "WEBP")]

    assert len({image.pixel_id for image in images}) == 1
    assert len({image.perceptual_hash for image in images}) == 1
    assert len({image.image_id for image in images}) == len(images)


@pytest.mark.parametrize(
    "other",
    [noise(seed=1), np.where(np.indices(RGB.shape).sum(axis=0) == 0, RGB ^ 1, RGB), RGB.reshape(WIDTH, HEIGHT, 3)],
    ids=["other image", "one bit", "other shape"],
)
def test_other_pixels_have_another_id(other):
    assert inspect_image(encode(other, "PNG"), SETTINGS).pixel_id != inspect_image(WHOLE["PNG"], SETTINGS).pixel_id


def test_the_image_id_is_the_digest_of_the_bytes():
    assert inspect_image(WHOLE["JPEG"], SETTINGS).image_id == hashlib.sha256(WHOLE["JPEG"]).hexdigest()


@pytest.mark.parametrize(
    ("name", "format_name", "extension"),
    [
        ("JPEG", "JPEG", "jpg"),
        ("PNG", "PNG", "png"),
        ("TIFF", "TIFF", "tiff"),
        ("BMP", "BMP", "bmp"),
        ("WEBP", "WEBP", "webp"),
    ],
)
def test_the_content_decides_the_format(name, format_name, extension):
    image = inspect_image(WHOLE[name], SETTINGS)

    assert (image.format, image.extension) == (format_name, extension)


def test_brightness_contrast_and_sharpness_are_of_grey_levels():
    steps = np.repeat(np.array([100, 200], np.uint8), WIDTH // 2)
    stripes = inspect_image(encode(np.tile(steps, (HEIGHT, 1)), "PNG"), SETTINGS)
    flat = inspect_image(encode(np.full((HEIGHT, WIDTH), 80, np.uint8), "PNG"), SETTINGS)

    assert (stripes.brightness, stripes.contrast) == (150, 50)
    assert (flat.brightness, flat.contrast, flat.sharpness) == (80, 0, 0)
    # The Laplacian is +-100 in the two columns of the edge and 0 elsewhere.
    assert stripes.sharpness == pytest.approx(2 * 100**2 / WIDTH)


def test_similar_images_have_similar_perceptual_hashes():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ramp = (x * 3 + y * 2).astype(np.uint8)
    first, brighter, other = (
        int(inspect_image(encode(pixels, "PNG"), SETTINGS).perceptual_hash, 16) for pixels in (ramp, ramp + 9, GREY)
    )

    assert (first ^ brighter).bit_count() <= 4
    assert (first ^ other).bit_count() > 16


@pytest.mark.parametrize("pixels", [RGB, GREY, noise(3, 5, (333, 251)), noise(1, 6, (32, 900))])
def test_the_measures_are_those_of_their_definitions(pixels):
    image = inspect_image(encode(pixels, "PNG"), SETTINGS)
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)

    assert image.brightness == pytest.approx(grey.mean(), rel=1e-9)
    assert image.contrast == pytest.approx(grey.std(), rel=1e-9)
    assert image.sharpness == pytest.approx(cv2.Laplacian(grey, cv2.CV_64F).var(), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_perceptual_hash_is_the_librarys(seed):
    blurred = cv2.GaussianBlur(noise(1, seed, (224, 160)), (0, 0), 5)
    reduced = Image.fromarray(cv2.resize(blurred, (32, 32), interpolation=cv2.INTER_AREA))

    assert inspect_image(encode(blurred, "PNG"), SETTINGS).perceptual_hash == str(imagehash.phash(reduced))


@pytest.mark.parametrize("level", [0, 7, 255])
def test_flat_images_have_no_frequencies_in_their_hash(level):
    flat = np.full((HEIGHT, WIDTH), level, np.uint8)

    assert int(inspect_image(encode(flat, "PNG"), SETTINGS).perceptual_hash, 16).bit_count() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encode(RGB, "PNG"), id="RGB"),
        pytest.param(encode(GREY, "PNG"), id="L"),
        pytest.param(encode(RGBA, "PNG"), id="RGBA"),
        pytest.param(encode(PALETTE, "PNG"), id="P"),
        pytest.param(encode(DEEP, "PNG"), id="16 bits"),
        pytest.param(DEEP_RGB, id="RGB 16 bits"),
        pytest.param(encode(GREY > 127, "PNG"), id="1"),
        pytest.param(encode(RGB, "PNG", transparency=(1, 2, 3)), id="RGB with a clear colour"),
        pytest.param(encode(GREY, "PNG", transparency=7), id="L with a clear level"),
        pytest.param(encode(CMYK, "JPEG"), id="CMYK"),
        pytest.param(encode(RGB, "PNG", exif=turned(6)), id="turned"),
        pytest.param(WHOLE["TIFF"], id="TIFF"),
        pytest.param(WHOLE["BMP"], id="BMP"),
        pytest.param(WHOLE["WEBP"], id="WEBP"),
    ],
)
def test_tensorflow_decodes_what_training_reads_to_the_same_pixels(data):
    import tensorflow as tf

    image = inspect_image(data, SETTINGS)
    pixels = tf.io.decode_image(image.canonical_png or data, channels=3, expand_animations=False).numpy()

    assert pixels.shape == (image.height, image.width, 3)
    assert inspect_image(encode(pixels, "PNG"), SETTINGS).pixel_id == image.pixel_id


@pytest.mark.slow
@pytest.mark.parametrize("exif", [turned(1), turned(6), turned(3)], ids=["upright", "quarter", "half"])
def test_tensorflow_decodes_a_jpeg_to_nearly_the_same_pixels(exif):
    import tensorflow as tf

    y, x = np.mgrid[:HEIGHT, :WIDTH]
    data = encode(np.dstack([x * 4, y * 5, x + y]).astype(np.uint8), "JPEG", exif=exif, quality=92)
    image = inspect_image(data, SETTINGS)
    pixels = tf.io.decode_image(image.canonical_png or data, channels=3, expand_animations=False).numpy()
    upright = {1: 0, 6: -1, 3: 2}[exif[0x0112]]

    # Its inverse cosine transform is the faster, less exact one.
    np.testing.assert_allclose(pixels, np.rot90(decode(data), upright), atol=6)


@pytest.mark.slow
def test_tensorflow_decodes_the_first_picture_of_a_jpeg_with_several():
    import tensorflow as tf

    y, x = np.mgrid[:HEIGHT, :WIDTH]
    first = Image.fromarray(np.dstack([x * 4, y * 5, x + y]).astype(np.uint8))
    data = encode(first, "MPO", save_all=True, append_images=[Image.fromarray(RGB)], quality=92)

    np.testing.assert_allclose(tf.io.decode_image(data, channels=3).numpy(), decode(data), atol=6)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "JPEG"])
def test_pixels_are_known_however_small_the_image_is(form):
    data = encode(noise(), form)
    known = inspect_image(data, SETTINGS).pixel_id

    assert pixel_id_of(data, SETTINGS) == known
    assert pixel_id_of(data, ImageSettings(min_side=10 * WIDTH)) == known


def test_what_cannot_be_decoded_has_no_pixels():
    assert pixel_id_of(b"no image", SETTINGS) is None
