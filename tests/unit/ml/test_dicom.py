from __future__ import annotations

import io
import logging
import struct
import traceback
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    UID,
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    ParametricMapStorage,
    RLELossless,
)

from dicom_files import dicom, image, item, written
from ml.config import ImageSettings
from ml.dicom import decode_dicom, is_dicom
from ml.images import RefusedImageError, inspect_image

SETTINGS = ImageSettings()
WIDTH, HEIGHT = 48, 40
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
MARK = "MARGARETHE"


def values(low: int, high: int, dtype: type, bands: int = 1) -> np.ndarray:
    shape = (HEIGHT, WIDTH, bands) if bands > 1 else (HEIGHT, WIDTH)
    drawn = np.random.default_rng(0).integers(low, high, shape, endpoint=True)
    drawn.flat[:2] = low, high
    return drawn.astype(dtype)


def lookup(descriptor: list[int], entries: list[int] | bytes) -> Sequence:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", descriptor)
    table.add_new("LUTData", "OW" if isinstance(entries, bytes) else "US", entries)
    return Sequence([table])


def run_lengths(pixels: np.ndarray, **elements: Any) -> bytes:
    dataset = image(pixels, **elements)
    encoded = RLELosslessEncoder.encode(
        pixels,
        encoding_plugin="pydicom",
        rows=dataset.Rows,
        columns=dataset.Columns,
        number_of_frames=1,
        samples_per_pixel=dataset.SamplesPerPixel,
        bits_allocated=dataset.BitsAllocated,
        bits_stored=dataset.BitsStored,
        pixel_representation=dataset.PixelRepresentation,
        photometric_interpretation=dataset.PhotometricInterpretation,
        planar_configuration=0,
    )
    return dicom(pixels, RLELossless, encoded, **elements)


def encoded(pixels: np.ndarray, format_name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format_name, **options)
    return stream.getvalue()


def shown(data: bytes) -> np.ndarray:
    return decode_dicom(data, SETTINGS).pixels


def refusal(data: bytes, **limits: Any) -> RefusedImageError:
    with pytest.raises(RefusedImageError) as error:
        decode_dicom(data, ImageSettings(**limits))
    return error.value


def stretched(pixels: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    low = pixels.min() if low is None else low
    high = pixels.max() if high is None else high
    return np.rint((np.clip(pixels, low, high) - float(low)) * 255 / (float(high) - float(low))).astype(np.uint8)


GREY = values(0, 255, np.uint8)
RGB = values(0, 255, np.uint8, 3)
DEEP = values(100, 4000, np.uint16)
SIGNED = values(-1024, 3071, np.int16)
RAMP = np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH)
JPEG = encoded(GREY, "JPEG", quality=90)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(dicom(GREY), True, id="preamble"),
        pytest.param(b"II*\0" + dicom(GREY)[4:], True, id="another format's head as preamble"),
        pytest.param(dicom(GREY)[132:], True, id="file meta group without preamble"),
        pytest.param(dicom(GREY)[132 + 12 :], False, id="file meta group without its length"),
        pytest.param(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + bytes(200), False, id="bare data set"),
        pytest.param(encoded(GREY, "PNG"), False, id="PNG"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_a_dicom_file_is_known_by_its_mark(data, expected):
    assert is_dicom(data) is expected


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: UID(syntax).keyword)
@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        pytest.param(GREY, GREY, id="8 bits"),
        pytest.param(DEEP, stretched(DEEP), id="16 bits"),
        pytest.param(SIGNED, stretched(SIGNED), id="signed"),
        pytest.param(DEEP.astype(np.uint32) * 100_000, stretched(DEEP), id="32 bits"),
        pytest.param(SIGNED.astype(np.int32) * 100_000, stretched(SIGNED), id="32 bits signed"),
        pytest.param(RGB, RGB, id="RGB"),
        pytest.param(RGB.astype(np.uint16) * 256 + 255, RGB, id="RGB of 16 bits"),
    ],
)
def test_uncompressed_pixels_are_read_in_every_byte_order(syntax, pixels, expected):
    np.testing.assert_array_equal(shown(dicom(pixels, syntax)), expected)


@pytest.mark.parametrize(
    ("pixels", "elements", "expected"),
    [
        pytest.param(GREY, {}, GREY, id="8 bits"),
        pytest.param(DEEP, {"BitsStored": 12}, stretched(DEEP), id="12 bits"),
        pytest.param(SIGNED, {}, stretched(SIGNED), id="signed"),
        pytest.param(
            values(-2048, 2047, np.int16), {"BitsStored": 12}, stretched(values(-2048, 2047, np.int16)), id="s12"
        ),
        pytest.param(RGB, {}, RGB, id="RGB"),
        pytest.param(np.full((HEIGHT, WIDTH), 9, np.uint8), {}, np.full((HEIGHT, WIDTH), 9), id="one run"),
    ],
)
def test_run_lengths_are_unpacked(pixels, elements, expected):
    np.testing.assert_array_equal(shown(run_lengths(pixels, **elements)), expected)


def test_jpeg_frames_are_decoded():
    colour = encoded(RGB, "JPEG", quality=90, subsampling=0)
    with Image.open(io.BytesIO(JPEG)) as grey, Image.open(io.BytesIO(colour)) as decoded:
        np.testing.assert_array_equal(shown(dicom(GREY, JPEGBaseline8Bit, JPEG)), np.asarray(grey))
        pixels = shown(dicom(RGB, JPEGBaseline8Bit, colour, PhotometricInterpretation="YBR_FULL_422"))
        # pydicom converts the colours itself, and rounds otherwise.
        np.testing.assert_allclose(pixels.astype(int), np.asarray(decoded).astype(int), atol=2)


@pytest.mark.parametrize(
    ("pixels", "photometric", "expected"),
    [
        pytest.param(GREY, "MONOCHROME2", GREY, id="8 bits"),
        pytest.param(RAMP, "MONOCHROME2", stretched(RAMP), id="16 bits"),
        pytest.param(RGB, "YBR_RCT", RGB, id="colour"),
    ],
)
def test_jpeg_2000_frames_are_decoded(pixels, photometric, expected):
    frame = encoded(pixels, "JPEG2000", no_jp2=True, mct=1)
    data = dicom(pixels, JPEG2000Lossless, frame, PhotometricInterpretation=photometric)
    np.testing.assert_array_equal(shown(data), expected)


def test_bits_beyond_those_stored_are_left_out():
    overlay = DEEP | np.uint16(0x8000)
    np.testing.assert_array_equal(shown(dicom(overlay, BitsStored=12)), stretched(DEEP))


def test_one_value_is_black():
    np.testing.assert_array_equal(shown(dicom(np.full_like(DEEP, 7))), np.zeros_like(GREY))


def test_single_bits_are_black_and_white():
    bits = GREY > 127
    packed = np.packbits(bits, bitorder="little").tobytes()
    dataset = image(GREY, BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.add_new("PixelData", "OB", packed)
    np.testing.assert_array_equal(shown(written(dataset)), bits * 255)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        pytest.param({"WindowCenter": 500, "WindowWidth": 256}, stretched(RAMP, 372, 627), id="LINEAR"),
        pytest.param({"WindowCenter": [500, 9], "WindowWidth": [256, 2]}, stretched(RAMP, 372, 627), id="first"),
        pytest.param({"WindowCenter": 500, "WindowWidth": 1}, (RAMP > 499) * 255, id="threshold"),
        pytest.param(
            {"WindowCenter": 500, "WindowWidth": 256, "VOILUTFunction": "LINEAR_EXACT"},
            stretched(RAMP, 372, 628),
            id="LINEAR_EXACT",
        ),
        pytest.param(
            {"WindowCenter": 500, "WindowWidth": 256, "VOILUTFunction": "SIGMOID"},
            np.rint(255 / (1 + np.exp(-4 * (RAMP - 500.0) / 256))),
            id="SIGMOID",
        ),
        pytest.param({"WindowCenter": 500, "WindowWidth": 0}, stretched(RAMP), id="no width"),
        pytest.param({"WindowCenter": "", "WindowWidth": ""}, stretched(RAMP), id="blank"),
        pytest.param({"WindowCenter": 500}, stretched(RAMP), id="centre alone"),
        pytest.param(
            {"RescaleSlope": 2, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 401},
            stretched(RAMP * 2.0 - 1024, -160.5, 239.5),
            id="of rescaled values",
        ),
        pytest.param({"RescaleSlope": -1, "RescaleIntercept": 0}, 255 - stretched(RAMP), id="falling"),
        pytest.param(
            {"ModalityLUTSequence": lookup([4, 10, 16], [0, 1000, 3000, 4000])},
            np.array([0, 64, 191, 255])[np.clip(RAMP.astype(int) - 10, 0, 3)],
            id="modality table",
        ),
        pytest.param(
            {"VOILUTSequence": lookup([4, 10, 12], [4095, 2000, 1000, 0]), "WindowCenter": 1, "WindowWidth": 2},
            np.array([255, 125, 62, 0])[np.clip(RAMP.astype(int) - 10, 0, 3)],
            id="VOI table goes before the window",
        ),
        pytest.param(
            {"VOILUTSequence": lookup([4, 10, 8], b"\xff\x64\x0a\x00")},
            np.array([255, 100, 10, 0])[np.clip(RAMP.astype(int) - 10, 0, 3)],
            id="VOI table of bytes",
        ),
        pytest.param(
            {"VOILUTSequence": lookup([0, 0, 16], np.arange(2**16, dtype="<u2")[::-1].tobytes())},
            np.rint((65535 - RAMP.astype(float)) * 255 / 65535),
            id="VOI table of 65536 words",
        ),
        pytest.param(
            {
                "SharedFunctionalGroupsSequence": Sequence(
                    [
                        item(
                            PixelValueTransformationSequence=Sequence([item(RescaleSlope=2, RescaleIntercept=0)]),
                            FrameVOILUTSequence=Sequence([item(WindowCenter=500, WindowWidth=256)]),
                        )
                    ]
                )
            },
            stretched(RAMP * 2.0, 372, 627),
            id="enhanced",
        ),
    ],
)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
def test_values_are_shown_as_the_file_says(syntax, elements, expected):
    np.testing.assert_array_equal(shown(dicom(RAMP, syntax, **elements)), expected)
    inverted = dicom(RAMP, syntax, PhotometricInterpretation="MONOCHROME1", **elements)
    np.testing.assert_array_equal(shown(inverted), 255 - np.asarray(expected))


@pytest.mark.parametrize(
    ("elements", "filled"),
    [({"PixelPaddingValue": -2000}, [-2000]), ({"PixelPaddingValue": -2001, "PixelPaddingRangeLimit": -1999}, [-2000])],
    ids=["value", "range"],
)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
def test_padding_does_not_widen_the_range(syntax, elements, filled):
    pixels = SIGNED.copy()
    pixels[:3] = filled

    np.testing.assert_array_equal(shown(dicom(pixels, syntax, **elements)), stretched(pixels, low=pixels[3:].min()))


@pytest.mark.parametrize(
    ("bits", "tables"),
    [
        pytest.param(8, [bytes(range(0, 200, 20)), bytes(range(10)), bytes(10)], id="bytes"),
        pytest.param(8, [np.arange(10, dtype="<u2").tobytes()] * 3, id="bytes in words"),
        pytest.param(16, [(np.arange(10, dtype="<u2") * 256 + 99).tobytes()] * 3, id="words"),
    ],
)
@pytest.mark.parametrize("pixels", [GREY, DEEP], ids=["8 bits", "16 bits"])
def test_a_palette_colours_the_stored_numbers(pixels, bits, tables):
    elements = {}
    for colour, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [10, 100, bits]
        elements[f"{colour}PaletteColorLookupTableData"] = table
    data = dicom(pixels, PhotometricInterpretation="PALETTE COLOR", **elements)
    index = np.clip(pixels.astype(int) - 100, 0, 9)
    entries = [np.frombuffer(table, np.uint8) if len(table) == 10 else np.frombuffer(table, "<u2") for table in tables]
    expected = np.stack([entry[index] >> (bits - 8) for entry in entries], axis=-1)

    np.testing.assert_array_equal(shown(data), expected)


@pytest.mark.parametrize("make", [dicom, run_lengths], ids=["native", "run lengths"])
def test_ybr_becomes_rgb(make):
    ybr = np.zeros((HEIGHT, WIDTH, 3), np.uint8) + np.array([76, 85, 255], np.uint8)

    pixels = shown(make(ybr, PhotometricInterpretation="YBR_FULL"))

    np.testing.assert_array_equal(pixels, np.broadcast_to([254, 0, 0], pixels.shape))


def test_halved_ybr_becomes_rgb():
    dataset = image(RGB, PhotometricInterpretation="YBR_FULL_422")
    dataset.add_new("PixelData", "OB", bytes([100, 200, 128, 128]) * (WIDTH * HEIGHT // 2))

    pixels = shown(written(dataset))

    assert (pixels[:, ::2] == 100).all()
    assert (pixels[:, 1::2] == 200).all()


def test_colour_planes_are_brought_together():
    dataset = image(RGB, PlanarConfiguration=1)
    dataset.add_new("PixelData", "OB", np.ascontiguousarray(np.moveaxis(RGB, 2, 0)).tobytes())

    np.testing.assert_array_equal(shown(written(dataset)), RGB)


def without_pixels(kind: str) -> bytes:
    return written(item(SOPClassUID=kind, PatientID="1"))


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        pytest.param(
            dicom(np.stack([GREY, GREY]), NumberOfFrames=2, Rows=HEIGHT, Columns=WIDTH, SamplesPerPixel=1),
            "2 frame",
            id="frames",
        ),
        pytest.param(without_pixels(BasicTextSRStorage), "without pixels: Basic Text SR Storage", id="report"),
        pytest.param(without_pixels(EncapsulatedPDFStorage), "without pixels: Encapsulated PDF", id="PDF"),
        pytest.param(without_pixels(MediaStorageDirectoryStorage), "Media Storage Directory", id="directory"),
        pytest.param(without_pixels("1.2.3.4"), "without pixels: an unknown class", id="private class"),
        pytest.param(dicom(GREY, JPEGLosslessSV1, JPEG), "JPEG Lossless", id="lossless JPEG"),
        pytest.param(dicom(GREY, JPEGLSLossless, JPEG), "JPEG-LS Lossless", id="JPEG-LS"),
        pytest.param(dicom(GREY, HTJ2KLossless, JPEG), "High-Throughput JPEG 2000", id="HTJ2K"),
        pytest.param(dicom(GREY, MPEG2MPML, JPEG), "MPEG2", id="film"),
        pytest.param(dicom(DEEP, JPEGExtended12Bit, JPEG, BitsStored=12), "12 of 16 bits", id="JPEG of 12 bits"),
        pytest.param(
            dicom(RGB.astype(np.uint16), JPEG2000, JPEG), "RGB, 16 of 16 bits", id="JPEG 2000 colour of 16 bits"
        ),
        pytest.param(dicom(GREY, PhotometricInterpretation="HSV"), "unknown photometric", id="HSV"),
        pytest.param(dicom(GREY, PhotometricInterpretation="RGB"), "RGB with 1 sample", id="RGB of one sample"),
        pytest.param(
            dicom(RGB, PhotometricInterpretation="YBR_RCT"), "YBR_RCT with 3 sample", id="YBR_RCT uncompressed"
        ),
        pytest.param(dicom(GREY, PhotometricInterpretation="PALETTE COLOR"), "without a plain palette", id="palette"),
        pytest.param(dicom(DEEP, BitsStored=12, HighBit=15), "12 of 16 bits", id="left-aligned"),
        pytest.param(dicom(RAMP, WindowCenter=1, WindowWidth=2, VOILUTFunction="OTHER"), "VOI LUT function", id="VOI"),
    ],
)
def test_what_shows_no_single_picture_is_refused(data, detail):
    error = refusal(data)

    assert error.reason == "unsupported_form"
    assert detail in error.detail


def test_pixels_of_floating_point_are_refused():
    dataset = image(GREY, SOPClassUID=ParametricMapStorage, BitsAllocated=32)
    dataset.FloatPixelData = GREY.astype("<f4").tobytes()

    assert refusal(written(dataset)).reason == "unsupported_form"


@pytest.mark.parametrize(
    ("elements", "limits", "reason"),
    [
        pytest.param({"Rows": 60_000, "Columns": 60_000}, {}, "too_many_pixels", id="pixels"),
        pytest.param({}, {"min_side": 41}, "too_small", id="low"),
        pytest.param({"Rows": 0}, {}, "too_small", id="no rows"),
        pytest.param({"Rows": 400}, {}, "truncated", id="fewer pixels than declared"),
        pytest.param({"Rows": None}, {}, "truncated", id="rows unknown"),
        pytest.param({"RescaleSlope": "1e300", "RescaleIntercept": "0"}, {}, "truncated", id="slope"),
        pytest.param({"VOILUTSequence": lookup([9, 0, 8], [1, 2])}, {}, "truncated", id="table"),
    ],
)
def test_sizes_are_checked_before_pixels(elements, limits, reason):
    assert refusal(dicom(GREY, **elements), **limits).reason == reason


WHOLE = {
    "implicit": dicom(DEEP, ImplicitVRLittleEndian, PatientID="P", WindowCenter=3, WindowWidth=9),
    "explicit": dicom(RGB, PatientID="P"),
    "big endian": dicom(SIGNED, ExplicitVRBigEndian, ModalityLUTSequence=lookup([4, 10, 16], [0, 1, 3, 4])),
    "deflated": dicom(GREY, DeflatedExplicitVRLittleEndian, PatientID="P"),
    "run lengths": run_lengths(DEEP, PatientID="P"),
    "JPEG": dicom(GREY, JPEGBaseline8Bit, JPEG),
    "JPEG 2000": dicom(GREY, JPEG2000Lossless, encoded(GREY, "JPEG2000", no_jp2=True)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_cut_file_is_truncated_wherever_the_cut_is(name):
    data = WHOLE[name]
    lengths = {*range(140, 700, 7), *range(700, len(data) - 10, 487), len(data) - 10}

    assert {refusal(data[:length]).reason for length in lengths} == {"truncated"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(
            dicom(GREY, RLELossless, struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 2**20),
            None,
            id="run lengths",
        ),
        pytest.param(
            dicom(GREY, JPEGBaseline8Bit, encoded(np.zeros((5000, 5000), np.uint8), "JPEG")), "truncated", id="JPEG"
        ),
        pytest.param(
            dicom(np.zeros((3000, 3000), np.uint8), DeflatedExplicitVRLittleEndian), "too_many_bytes", id="zip"
        ),
    ],
)
def test_a_frame_never_grows_beyond_its_declared_size(data, reason):
    limits = ImageSettings(max_bytes=4 * 2**20)
    if reason is None:
        assert decode_dicom(data, limits).pixels.shape == GREY.shape
    else:
        assert refusal(data, max_bytes=limits.max_bytes).reason == reason


@pytest.mark.parametrize(
    ("elements", "patient"),
    [
        ({"PatientID": "17"}, "17"),
        ({"PatientID": " 17 ", "IssuerOfPatientID": "Ward 3"}, "Ward 3\\17"),
        ({"PatientID": "", "IssuerOfPatientID": "Ward 3"}, None),
        ({"PatientID": "  "}, None),
        ({"PatientID": "Jürgen", "SpecificCharacterSet": "ISO_IR 100"}, "Jürgen"),
        ({}, None),
    ],
    ids=["number", "issuer", "issuer alone", "blank", "other letters", "none"],
)
def test_the_patient_is_told(elements, patient):
    assert decode_dicom(dicom(GREY, **elements), SETTINGS).patient == patient
    assert inspect_image(dicom(GREY, **elements), SETTINGS).patient == patient


def test_a_dicom_file_is_inspected_like_any_image():
    data = dicom(GREY)
    found = inspect_image(data, SETTINGS)
    again = inspect_image(found.canonical_png, SETTINGS)

    assert (found.format, found.extension, found.channels) == ("DICOM", "dcm", 1)
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    assert (again.pixel_id, again.canonical_png) == (found.pixel_id, None)
    assert found.pixel_id == inspect_image(encoded(GREY, "PNG"), SETTINGS).pixel_id


def test_colour_survives_inspection():
    found = inspect_image(dicom(RGB), SETTINGS)

    assert found.channels == 3
    assert found.pixel_id == inspect_image(encoded(RGB, "PNG"), SETTINGS).pixel_id


def test_dicom_can_be_left_out():
    with pytest.raises(RefusedImageError, match="not_an_image: none of PNG"):
        inspect_image(dicom(GREY), ImageSettings(formats=("PNG",)))


def marked_files() -> dict[str, bytes]:
    """Files that name the patient, and some that do so where another element is meant to be."""
    dataset = image(DEEP, SpecificCharacterSet="ISO_IR 100", WindowCenter=3, WindowWidth=9)
    for name in ("PatientID", "PatientName", "PatientBirthDate", "IssuerOfPatientID", "StudyInstanceUID"):
        dataset.add_new(name, "LO", MARK)
    dataset.add_new("PixelData", "OW", DEEP.tobytes())
    files = {syntax: written(dataset, syntax) for syntax in NATIVE}
    for name in (
        "WindowCenter",
        "VOILUTFunction",
        "PhotometricInterpretation",
        "NumberOfFrames",
        "Rows",
        "RescaleSlope",
    ):
        broken = image(DEEP, SpecificCharacterSet="ISO_IR 100", PatientID=MARK)
        broken.add_new(name, "LO", MARK)
        broken.add_new("PixelData", "OW", DEEP.tobytes())
        files[name] = written(broken).replace(b"ISO_IR 100", MARK.encode())
    rows, odd = struct.pack("<HHLH", 0x28, 0x10, 2, HEIGHT), struct.pack("<HHL", 0x28, 0x10, 9) + MARK[:9].encode()
    files["odd length"] = files[ImplicitVRLittleEndian].replace(rows, odd)
    whole = files[ExplicitVRLittleEndian]
    length = whole.index(ExplicitVRLittleEndian.encode()) - 2
    files["syntax runs on"] = whole[:length] + struct.pack("<H", 400) + whole[length + 2 :]
    files["syntax"] = whole.replace(b"1.2.840.10008.1.2.1\0", MARK.encode().ljust(20))
    files["class"] = written(item(SOPClassUID="1.2.3", PatientID=MARK)).replace(b"1.2.3\0", MARK[:6].encode())
    return files


def said_of(error: BaseException | None) -> str:
    return "" if error is None else "".join(traceback.format_exception(error)) + repr(vars(error))


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """A few bytes changed, in the first kilobyte mostly, or a piece cut out."""
    copy = bytearray(data)
    for _ in range(generator.integers(1, 4)):
        copy[int(len(copy) * generator.random() ** 4)] = generator.integers(256)
    if generator.random() < 0.2:
        begin, length = generator.integers(1000), generator.integers(1, 40)
        del copy[begin : begin + length]
    return bytes(copy)


@pytest.mark.parametrize("name", marked_files())
def test_the_patient_is_nowhere_but_in_the_field_for_it(name, caplog):
    data = marked_files()[name]
    generator = np.random.default_rng(0)
    said = []
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for variant in [data, *(damaged(data, generator) for _ in range(150))]:
            try:
                found = inspect_image(variant, SETTINGS)
            except RefusedImageError as error:
                said.append(said_of(error))
            else:
                assert MARK.encode() not in found.canonical_png
                said += [repr(found), *(str(value) for name, value in vars(found).items() if name != "patient")]
                said.append(repr(decode_dicom(variant, SETTINGS)))

    assert not caught
    assert not caplog.records
    assert len(said) > 150
    assert not [text for text in said if MARK[:6] in text]


def test_the_logger_of_pydicom_is_as_before():
    level = logging.getLogger("pydicom").level
    with suppress(RefusedImageError):
        decode_dicom(WHOLE["JPEG"][:-10], SETTINGS)

    assert logging.getLogger("pydicom").level == level


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(name=st.sampled_from(sorted(WHOLE)), seed=st.integers(0, 2**32))
def test_a_damaged_file_is_refused_or_read_but_never_an_accident(name, seed):
    data = damaged(WHOLE[name], np.random.default_rng(seed))
    with suppress(RefusedImageError):
        assert decode_dicom(data, SETTINGS).pixels.dtype == np.uint8
