"""Decoding a DICOM file (PS3.10) of one frame to the pixels a viewer would show."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000TransferSyntaxes, JPEGExtended12Bit, RLELossless

from ml import dicom_display
from ml.decoding import DAMAGED, QUIET_PILLOW, Quiet, RefusedImageError, check_size

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from ml.config import ImageSettings

__all__ = ["DicomImage", "decode_dicom", "is_dicom"]

PREAMBLE = 128
#: How a file meta group begins: (0002,0000), UL, 4 bytes.
META_GROUP = b"\x02\x00\x00\x00UL\x04\x00"
UNDEFINED_LENGTH = 0xFFFFFFFF
LAST_OF_META = Tag(0x0002, 0xFFFF)
PIXEL_DATA = Tag("PixelData")
#: Nothing else is taken out of the file.
ELEMENTS = (
    *("SOPClassUID", "PatientID", "IssuerOfPatientID", "PixelData", "FloatPixelData", "DoubleFloatPixelData"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", *dicom_display.ELEMENTS),
)
TAGS = [Tag(keyword) for keyword in ELEMENTS]
SAMPLES = {"MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3}
SAMPLES_JPEG2000 = SAMPLES | {"YBR_ICT": 3, "YBR_RCT": 3}
DAMAGED_DICOM = (
    *DAMAGED,
    AttributeError,
    BytesLengthException,
    InvalidDicomError,
    Image.DecompressionBombError,
    zlib.error,
)
QUIET_PYDICOM = Quiet("pydicom", logs=True)


@dataclass(frozen=True)
class DicomImage:
    """What a DICOM file shows: uint8 [H, W] or, in colour, [H, W, 3] RGB.

    ``channels`` counts the stored samples a pixel. ``patient`` is the identity that the file gives, to group images
    by; it is for memory only.
    """

    pixels: np.ndarray = field(repr=False)
    channels: int
    patient: str | None = field(repr=False)


def is_dicom(data: bytes) -> bool:
    """Whether the bytes have the mark of a DICOM file.

    That is ``DICM`` after 128 bytes of anything, or, where these were left out, the file meta group, which names the
    transfer syntax. Bare data sets have neither; they are not guessed at.
    """
    return data[PREAMBLE : PREAMBLE + 4] == b"DICM" or data.startswith(META_GROUP)


def decode_dicom(data: bytes, settings: ImageSettings) -> DicomImage:
    """Decode a file for which ``is_dicom`` holds.

    No word of the file gets into an error or a log: pydicom's messages can quote the patient's name, so they are
    replaced, and errors are raised without the chain that leads to them.

    Raises:
        RefusedImageError: unsupported_form, too_many_bytes (once inflated), too_many_pixels, too_small or truncated.
    """
    outcome = _attempt(data, settings)
    if isinstance(outcome, RefusedImageError):
        raise outcome
    return outcome


def _attempt(data: bytes, settings: ImageSettings) -> DicomImage | RefusedImageError:
    try:
        with QUIET_PYDICOM, QUIET_PILLOW:
            return _decode(data, settings)
    except RefusedImageError as refusal:
        return RefusedImageError(refusal.reason, refusal.detail)
    except DAMAGED_DICOM as error:
        return RefusedImageError("truncated", f"the DICOM file cannot be read ({type(error).__name__})")


def _decode(data: bytes, settings: ImageSettings) -> DicomImage:
    dataset, syntax = _read(data, settings)
    photometric = _check_form(dataset, syntax)
    check_size(_integer(dataset, "Columns"), _integer(dataset, "Rows"), settings)
    stored = _stored(dataset, syntax, photometric)
    pixels = dicom_display.displayed(stored, dataset, photometric, little_endian=syntax.is_little_endian)
    return DicomImage(pixels, _integer(dataset, "SamplesPerPixel"), _patient(dataset))


def _read(data: bytes, settings: ImageSettings) -> tuple[Dataset, UID]:
    """The elements that count, and the transfer syntax."""
    stream = io.BytesIO(data)
    stream.seek(PREAMBLE + 4 if data[PREAMBLE : PREAMBLE + 4] == b"DICM" else 0)
    meta = read_dataset(stream, False, True, stop_when=_Guard(stream, LAST_OF_META))
    syntax = _known_syntax(meta.get("TransferSyntaxUID"))
    if syntax == DeflatedExplicitVRLittleEndian:
        stream = io.BytesIO(_inflated(stream.read(), settings.max_bytes))
    guard = _Guard(stream, PIXEL_DATA)
    dataset = read_dataset(
        stream, syntax.is_implicit_VR, syntax.is_little_endian, stop_when=guard, specific_tags=list(TAGS)
    )
    if "PixelData" not in dataset:
        raise _no_pixels(dataset, meta, begun=guard.begun_last)
    return dataset, syntax


class _Guard:
    """Stops reading after the last element that counts, and at one that is longer than the file."""

    def __init__(self, stream: io.BytesIO, last: BaseTag) -> None:
        self._stream = stream
        self._size = len(stream.getbuffer())
        self._last = last
        self.begun_last = False

    def __call__(self, tag: BaseTag, _vr: str | None, length: int) -> bool:
        if tag > self._last:
            return True
        self.begun_last |= tag == self._last
        missing = self._stream.tell() + length - self._size
        if length != UNDEFINED_LENGTH and missing > 0:
            raise RefusedImageError("truncated", f"{missing} bytes are missing from an element")
        return False


def _known_syntax(value: object) -> UID:
    if not value:
        raise RefusedImageError("truncated", "the DICOM file has no transfer syntax")
    syntax = UID(str(value))
    if not syntax.is_transfer_syntax or syntax.is_private:
        # Its text is not repeated: a damaged length makes it run on into other elements.
        raise RefusedImageError("unsupported_form", "DICOM in an unknown transfer syntax")
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise RefusedImageError("unsupported_form", f"DICOM in {syntax.name}")
    return syntax


def _inflated(deflated: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(deflated, max_bytes)
    if inflater.unconsumed_tail:
        raise RefusedImageError("too_many_bytes", f"more than {max_bytes} bytes when inflated")
    if not inflater.eof:
        raise RefusedImageError("truncated", "the deflated data set is cut")
    return data


def _no_pixels(dataset: Dataset, meta: Dataset, *, begun: bool) -> RefusedImageError:
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        return RefusedImageError("unsupported_form", "DICOM with pixels of floating point")
    kind = UID(str(meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID") or ""))
    if begun or "Rows" in dataset or "Image Storage" in kind.name:
        return RefusedImageError("truncated", "the pixels of the DICOM file are missing or cut")
    name = kind.name if kind.type == "SOP Class" else "an unknown class"
    return RefusedImageError("unsupported_form", f"DICOM without pixels: {name}")


def _check_form(dataset: Dataset, syntax: UID) -> str:
    """Refuse what cannot be shown as one picture; returns the photometric interpretation."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise RefusedImageError("unsupported_form", f"DICOM with {frames} frame(s)")
    if "NumberOfFrames" in dataset:
        del dataset["NumberOfFrames"]
    samples = _integer(dataset, "SamplesPerPixel")
    photometric = str(dataset.get("PhotometricInterpretation")).strip()
    known = SAMPLES_JPEG2000 if syntax in JPEG2000TransferSyntaxes else SAMPLES
    if known.get(photometric) != samples:
        name = photometric if photometric in SAMPLES_JPEG2000 else "an unknown photometric interpretation"
        raise RefusedImageError("unsupported_form", f"DICOM of {name} with {samples} sample(s) in {syntax.name}")
    _check_bits(dataset, syntax, photometric)
    return photometric


def _check_bits(dataset: Dataset, syntax: UID, photometric: str) -> None:
    allocated, bits = _integer(dataset, "BitsAllocated"), _integer(dataset, "BitsStored")
    signed = _integer(dataset, "PixelRepresentation")
    colour = photometric not in {"MONOCHROME1", "MONOCHROME2"}
    sound = allocated in {1, 8, 16, 32} and 0 < bits <= allocated and signed in {0, 1}
    usual = dataset.get("HighBit", bits - 1) == bits - 1 and not (colour and (signed or allocated not in {8, 16}))
    # YBR is converted as bytes, and Pillow's decoders give bytes here.
    narrow = photometric.startswith("YBR") or (colour and syntax in JPEG2000TransferSyntaxes)
    decodable = not (narrow and bits > 8) and not (syntax == JPEGExtended12Bit and bits != 8)
    if not (sound and usual and decodable):
        kind = f"{bits} of {allocated} bits, {'signed' if signed else 'unsigned'}"
        raise RefusedImageError("unsupported_form", f"DICOM of {photometric}, {kind}, in {syntax.name}")


def _stored(dataset: Dataset, syntax: UID, photometric: str) -> np.ndarray:
    """Pixel values as they are stored, of whole numbers; colour already as RGB."""
    if syntax == RLELossless:
        return _unpacked(_frame(dataset), dataset, photometric)
    if syntax.is_encapsulated:
        _check_frame(_frame(dataset), dataset)
    return get_decoder(syntax).as_array(dataset)[0]


def _frame(dataset: Dataset) -> bytes:
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def _check_frame(frame: bytes, dataset: Dataset) -> None:
    """The frame's own header must not claim more pixels than were allowed."""
    with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as image:
        size, declared = image.size, (_integer(dataset, "Columns"), _integer(dataset, "Rows"))
    if size != declared:
        raise RefusedImageError("truncated", f"a frame of {size[0]}x{size[1]}, declared {declared[0]}x{declared[1]}")


def _unpacked(frame: bytes, dataset: Dataset, photometric: str) -> np.ndarray:
    """RLE (PS3.5, annex G): a PackBits segment for each byte of a sample, the most significant first.

    By Pillow's decoder, because pydicom's unpacks in Python, and however much there is.
    """
    rows, columns, samples = (_integer(dataset, name) for name in ("Rows", "Columns", "SamplesPerPixel"))
    width = _integer(dataset, "BitsAllocated") // 8
    count, *offsets = struct.unpack("<16L", frame[:64])
    if not width or count != samples * width:
        raise RefusedImageError("truncated", f"{count} RLE segments, not {samples * width}")
    bounds = [*offsets[:count], len(frame)]
    planes = [
        Image.frombytes("L", (rows * columns, 1), frame[start:end], "packbits", "L") for start, end in pairwise(bounds)
    ]
    octets = np.stack([np.asarray(plane) for plane in planes], axis=-1).reshape(rows, columns, samples, width)
    signed = _integer(dataset, "PixelRepresentation")
    values = octets.view(f">{'i' if signed else 'u'}{width}").squeeze(3).astype(f"{'i' if signed else 'u'}{width}")
    unused = width * 8 - _integer(dataset, "BitsStored")
    values = (values << unused) >> unused
    if samples == 1:
        return values[:, :, 0]
    return convert_color_space(values, "YBR_FULL", "RGB") if photometric.startswith("YBR") else values


def _integer(dataset: Dataset, keyword: str) -> int:
    value = dataset.get(keyword)
    if not isinstance(value, int):
        raise RefusedImageError("truncated", f"{keyword} is no number")
    return value


def _patient(dataset: Dataset) -> str | None:
    """The patient's number, after the one who issued it where that is given; a backslash can be in neither."""
    number, issuer = (str(dataset.get(name) or "").strip(" \0") for name in ("PatientID", "IssuerOfPatientID"))
    return None if not number else f"{issuer}\\{number}" if issuer else number
