"""DICOM files for tests, built with pydicom."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian

if TYPE_CHECKING:
    import numpy as np


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def image(pixels: np.ndarray, **elements: Any) -> Dataset:
    """The elements of an image; those given by keyword replace the usual ones, None leaves them out."""
    colour = pixels.ndim == 3
    usual = {
        "SOPClassUID": CTImageStorage,
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": pixels.itemsize * 8,
        "BitsStored": pixels.itemsize * 8,
        "HighBit": elements.get("BitsStored", pixels.itemsize * 8) - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    } | ({"PlanarConfiguration": 0} if colour else {})
    return item(**{keyword: value for keyword, value in (usual | elements).items() if value is not None})


def written(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = syntax
    dataset.file_meta, dataset.preamble = meta, bytes(128)
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def dicom(
    pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, frame: bytes | None = None, **elements: Any
) -> bytes:
    """A file of the pixels, or of an encoded frame in their place."""
    dataset = image(pixels, **elements)
    if frame is not None:
        data = encapsulate([frame])
    else:
        data = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
        data += bytes(len(data) % 2)
    dataset.add_new("PixelData", "OB" if frame is not None or pixels.itemsize == 1 else "OW", data)
    return written(dataset, syntax)
