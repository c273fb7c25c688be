"""Every kind of bad object in one landing zone: none lost, none crashes the ingest, each with its reason."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom.uid import BasicTextSRStorage, DeflatedExplicitVRLittleEndian, JPEGLosslessSV1

from dicom_files import dicom, image, item, written
from ml import layout
from ml.config import Settings
from ml.context import Context
from ml.snapshots import Snapshot
from ml.steps import ingest, publish_snapshot
from ml.storage import open_store, read_json
from s3_servers import S3_SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_servers import S3Server

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CLASSES = ("glioma", "notumor")
MAX_BYTES, MAX_PIXELS = 200_000, 4_000_000
ACCEPTED = "accepted"


def noise(seed: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encode(image: np.ndarray | Image.Image, form: str, **options) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, form, **options)
    return stream.getvalue()


def frames(form: str, **options) -> bytes:
    first, *others = (Image.fromarray(noise(900 + number)) for number in range(3))
    return encode(first, form, save_all=True, append_images=others, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *, bits: int = 8, colour: int = 0) -> bytes:
    """A PNG of these compressed pixels, whatever size it claims."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    head = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def jpeg_claiming(width: int, height: int) -> bytes:
    data = encode(noise(1), "JPEG")
    return patched(data, data.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("scan.png", encode(noise(2), "PNG"))
    return stream.getvalue()


FORMS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
JPEG, PNG, TIFF, BMP, WEBP = (
    encode(noise(seed), form) for seed, form in enumerate(["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
)
ROWS = b"".join(b"\0" + bytes(64) for _ in range(48))
BOMB = zlib.compress(bytes(2**26), 9)
PATIENT = {"PatientID": "MRN-0815-4711", "PatientName": "MARGARETHE", "PatientBirthDate": "19471108"}
SCAN = dicom(noise(20), **PATIENT)
TWO_FRAMES = dicom(noise(21, 64, 96)[:, :, 0], Rows=48, NumberOfFrames=2, **PATIENT)

#: What no decoder may take, by name.
BAD_BYTES: dict[str, tuple[bytes, str]] = {
    "empty.jpg": (b"", "empty"),
    "deep/er/empty": (b"", "empty"),
    "page.jpg": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "not_an_image"),
    "archive.jpg": (zipped(), "not_an_image"),
    "paper.png": (b"%PDF-1.7\n" + JPEG, "not_an_image"),
    "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not_an_image"),
    "notes.txt": (b"Follow-up on Monday", "not_an_image"),
    "wide.txt": ("Notizen für später".encode("utf-16"), "not_an_image"),
    "table.csv": (b"key,label\na,b\n", "not_an_image"),
    "labels.csv": (b"key,label\nglioma/a.png,notumor\n", "not_an_image"),
    "answer.json": (json.dumps({"error": "expired"}).encode(), "not_an_image"),
    "squeezed.png.gz": (gzip.compress(PNG), "not_an_image"),
    "program.png": (b"\x7fELF\x02\x01\x01" + bytes(200), "not_an_image"),
    "script.sh": (b"#!/bin/sh\nrm -rf /\n", "not_an_image"),
    "database.png": (b"SQLite format 3\0" + bytes(200), "not_an_image"),
    "movie.jpg": (b"\0\0\0\x20ftypisom" + bytes(200), "not_an_image"),
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(200), "not_an_image"),
    "layers.psd": (b"8BPS\0\1" + bytes(200), "not_an_image"),
    "pickled.npy": (b"\x93NUMPY\x01\0" + bytes(200), "not_an_image"),
    "zeros.png": (bytes(5000), "not_an_image"),
    "random.jpg": (np.random.default_rng(0).bytes(5000), "not_an_image"),
    "shifted.jpg": (JPEG[1:], "not_an_image"),
    "portable.ppm": (encode(noise(10), "PPM"), "not_an_image"),
    "icon.ico": (encode(noise(11), "ICO"), "not_an_image"),
    "cut_early.jpg": (JPEG[: len(JPEG) // 10], "truncated"),
    "cut_in_the_middle.jpg": (JPEG[: len(JPEG) // 2], "truncated"),
    "cut_late.jpg": (JPEG[: len(JPEG) * 9 // 10], "truncated"),
    "cut.png": (PNG[: len(PNG) // 2], "truncated"),
    "header_alone.png": (PNG[:33], "truncated"),
    "cut.tiff": (TIFF[: len(TIFF) // 2], "truncated"),
    "cut.bmp": (BMP[: len(BMP) // 2], "truncated"),
    "cut.webp": (WEBP[: len(WEBP) // 2], "truncated"),
    "flipped_bits.png": (patched(PNG, len(PNG) // 2, bytes(64)), "truncated"),
    "no_pixels.png": (png(64, 48, b""), "truncated"),
    "too_few_pixels.png": (png(64, 48, zlib.compress(ROWS[:500])), "truncated"),
    "claims_too_much.png": (png(100_000, 100_000, zlib.compress(ROWS)), "too_many_pixels"),
    "claims_the_most.png": (png(2**31 - 1, 2**31 - 1, zlib.compress(ROWS)), "too_many_pixels"),
    "bomb.png": (png(8192, 8191, BOMB), "too_many_pixels"),
    "black_and_white_bomb.png": (png(20_000, 20_000, BOMB, bits=1), "too_many_pixels"),
    "claims_too_much.bmp": (bmp(30_000, 30_000), "too_many_pixels"),
    "claims_too_much.jpg": (jpeg_claiming(65_000, 65_000), "too_many_pixels"),
    "really_large.webp": (encode(np.zeros((2100, 2100, 3), np.uint8), "WEBP"), "too_many_pixels"),
    "too_many_bytes.bmp": (encode(noise(12, 400, 400), "BMP"), "too_many_bytes"),
    "too_many_bytes.txt": (b"x" * (MAX_BYTES + 1), "too_many_bytes"),
    "dot.png": (encode(noise(13, 1, 1), "PNG"), "too_small"),
    "narrow.jpg": (encode(noise(14, 31, 200), "JPEG"), "too_small"),
    "flat.png": (encode(noise(15, 200, 31), "PNG"), "too_small"),
    "still.gif": (encode(noise(16), "GIF"), "unsupported_form"),
    "cine.gif": (frames("GIF"), "unsupported_form"),
    "cine.png": (frames("PNG"), "unsupported_form"),
    "cine.webp": (frames("WEBP"), "unsupported_form"),
    "stack.tiff": (frames("TIFF"), "unsupported_form"),
    "cine.dcm": (TWO_FRAMES, "unsupported_form"),
    "report.dcm": (written(item(SOPClassUID=BasicTextSRStorage, **PATIENT)), "unsupported_form"),
    "lossless.dcm": (dicom(noise(22), JPEGLosslessSV1, JPEG, **PATIENT), "unsupported_form"),
    "no_pixels.dcm": (written(image(noise(23), **PATIENT)), "truncated"),
    "cut.dcm": (SCAN[: len(SCAN) // 2], "truncated"),
    "cut_in_its_header.dcm": (SCAN[:200], "truncated"),
    "garbage.dcm": (bytes(128) + b"DICM" + np.random.default_rng(1).bytes(5000), "truncated"),
    "mark_alone.dcm": (bytes(128) + b"DICM", "truncated"),
    "no_mark.dcm": (SCAN[SCAN.index(b"\x08\x00\x16\x00") :], "not_an_image"),
    "claims_too_much.dcm": (dicom(noise(24), Rows=60_000, Columns=60_000, **PATIENT), "too_many_pixels"),
    "narrow.dcm": (dicom(noise(25, 31, 200), **PATIENT), "too_small"),
    "bomb.dcm": (dicom(np.zeros((3000, 3000), np.uint8), DeflatedExplicitVRLittleEndian, **PATIENT), "too_many_bytes"),
    "script.gif": (b"GIF89a/*" + bytes(4) + b"*/=alert(1)//", "not_an_image"),
}
#: Names that are unusual and sound; each holds a picture of its own.
ODD_NAMES = (
    "with spaces in it.png",
    " blank first and last .png",
    "ünïcödé.png",
    "u\u0308ni.png",
    "日本語.png",
    "😀.png",
    "\u202egnp.exe.png",
    "UPPER.PNG",
    "upper.png",
    "Upper.png",
    "no ending",
    "wrong ending.jpg",
    ".hidden.png",
    "...png",
    "100%.png",
    "%2e%2e%2fetc%2fpasswd.png",
    "a+b&c=d?e#f.png",
    "'quotes\".png",
    "; rm -rf *.png",
    "back\\slash.png",
    "<script>alert(1)</script>.png",
    "{{ 7 * 7 }}.png",
    "-rf.png",
    "CON.png",
    "deep/" * 20 + "down.png",
)
BAD_LABELS = {
    "gliomas/1.png": "unknown_label",
    "Glioma/1.png": "unknown_label",
    "glioma /1.png": "unknown_label",
    "1.png": "no_label",
    "glioma/contradicted.png": "contradictory_label",
}
LABELS_CSV = b"key,label\nglioma/contradicted.png,glioma\nglioma/contradicted.png,notumor\nby_csv.png,notumor\n"


class Dropped(NamedTuple):
    """An object of the landing zone, and what must become of it."""

    key: str
    data: bytes
    outcome: str


def dropped() -> Iterator[Dropped]:
    """All but those whose keys one kind of store alone can hold."""
    for name, (data, reason) in BAD_BYTES.items():
        yield Dropped(f"landing/glioma/{name}", data, reason)
    for number, name in enumerate(ODD_NAMES):
        yield Dropped(f"landing/glioma/{name}", encode(noise(100 + number), "PNG"), ACCEPTED)
    for number, (name, reason) in enumerate(BAD_LABELS.items()):
        yield Dropped(f"landing/{name}", encode(noise(200 + number), "PNG"), reason)
    yield Dropped("landing/by_csv.png", encode(noise(300), "PNG"), ACCEPTED)
    for number in range(30):
        yield Dropped(f"landing/notumor/{number:02d}.png", encode(noise(400 + number), "PNG"), ACCEPTED)
    # Sound ones of the patient whose damaged ones are refused.
    yield Dropped("landing/glioma/scan.dcm", SCAN, ACCEPTED)
    yield Dropped("landing/glioma/next scan.dcm", dicom(noise(26), **PATIENT), ACCEPTED)
    # Twice the same bytes, and twice the same pixels, under one label and under two.
    yield Dropped("landing/notumor/copy.png", encode(noise(400), "PNG"), ACCEPTED)
    yield Dropped("landing/notumor/saved again.bmp", encode(noise(400), "BMP"), ACCEPTED)
    yield Dropped("landing/notumor/with an archive behind it.jpg", JPEG + zipped(), ACCEPTED)
    for label, form in (("glioma", "PNG"), ("notumor", "PNG")):
        yield Dropped(f"landing/{label}/same bytes.png", encode(noise(500), form), "label_conflict")
    for label, form in (("glioma", "PNG"), ("notumor", "BMP")):
        yield Dropped(f"landing/{label}/same pixels.{form.lower()}", encode(noise(501), form), "label_conflict")


def unrepresentable(names: tuple[str, ...]) -> Iterator[Dropped]:
    for number, name in enumerate(names):
        yield Dropped(f"landing/glioma/{name}", encode(noise(600 + number), "PNG"), "unrepresentable_key")


CONTROLLED = ("tab\tulator.png", "escape\x1b[2J.png", "delete\x7f.png", "bell\a.png")
FOLDER_ONLY = (*CONTROLLED, "line\nfeed.png", "latin-1 \udcfc.png", "half an emoji \udcf0\udc9f.png")
BUCKET_ONLY = (*CONTROLLED, "../up.png", "./here.png", "two//slashes.png", "slash last/", "a/../../b.png")
LONG = "glioma/" + "long/" * 200 + "k" * (1024 - len("landing/glioma/") - 5 * 200 - 4) + ".png"


@dataclass(frozen=True)
class Outcome:
    """One landing zone, before and after its ingest."""

    context: Context
    objects: dict[str, Dropped]
    listing: list[tuple[str, str]]
    result: dict[str, object]
    ledger: pd.DataFrame


def take_in(context: Context, objects: list[Dropped]) -> Outcome:
    listing = [(info.key, info.etag) for info in context.store.list("landing/")]
    result = ingest.run(context, NOW)
    publish_snapshot.run(context, str(result["snapshot_id"]))
    ledger = Snapshot(context.store, str(result["snapshot_id"])).ledger.set_index("source_key")
    return Outcome(context, {layout.printable(one.key): one for one in objects}, listing, result, ledger)


def settings_for(store: dict[str, object], tmp: Path) -> Settings:
    return Settings.model_validate(
        {
            "store": store | {"cache_dir": tmp / "cache"},
            "classes": CLASSES,
            "images": {"max_bytes": MAX_BYTES, "max_pixels": MAX_PIXELS},
            "landing": {"chunk_size": 25},
        }
    )


def in_folder(tmp: Path) -> Outcome:
    objects = [*dropped(), *unrepresentable(FOLDER_ONLY)]
    for one in objects:
        path = tmp / "store" / one.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.data)
    (tmp / "store/landing/labels.csv").write_bytes(LABELS_CSV)
    settings = settings_for({"url": str(tmp / "store")}, tmp)
    return take_in(Context(settings, open_store(settings.store)), objects)


def in_bucket(server: S3Server, tmp: Path) -> Outcome:
    bucket = server.bucket("faults")
    objects = [
        *dropped(),
        *unrepresentable(BUCKET_ONLY),
        Dropped(f"landing/{LONG}", encode(noise(700), "PNG"), ACCEPTED),
    ]
    for one in objects:
        bucket.put_object(Key=one.key, Body=one.data)
    bucket.put_object(Key="landing/labels.csv", Body=LABELS_CSV)
    bucket.put_object(Key="landing/glioma/folder marker/", Body=b"")
    settings = settings_for({"url": "s3://faults", "endpoint_url": server.endpoint}, tmp)
    return take_in(Context(settings, open_store(settings.store)), objects)


@pytest.fixture(scope="module", params=["folder", *S3_SERVERS])
def outcome(request, s3_credentials, tmp_path_factory) -> Outcome:
    tmp = tmp_path_factory.mktemp(request.param)
    return in_folder(tmp) if request.param == "folder" else in_bucket(request.getfixturevalue(request.param), tmp)


def test_the_long_key_is_as_long_as_a_key_may_be():
    assert len(f"landing/{LONG}".encode()) == 1024


def test_there_are_sixty_kinds_and_more(outcome):
    assert len({one.key for one in outcome.objects.values() if one.outcome != ACCEPTED}) >= 60


def test_each_object_has_the_outcome_that_it_must_have(outcome):
    found = outcome.ledger["reason"].fillna(ACCEPTED).to_dict()

    assert found == {key: one.outcome for key, one in outcome.objects.items()}


def test_every_object_is_an_image_a_duplicate_or_in_quarantine(outcome):
    result = outcome.result

    assert result["seen"] == result["arrived"] == len(outcome.objects)
    assert result["images"] + result["duplicates"] + result["quarantined"] == len(outcome.objects)
    assert result["duplicates"] == 2
    expected = Counter(one.outcome for one in outcome.objects.values())
    assert result["quarantined_by_reason"] == {reason: n for reason, n in expected.items() if reason != ACCEPTED}


def test_the_bytes_of_every_object_are_kept(outcome):
    store = outcome.context.store
    for key, one in outcome.objects.items():
        row = outcome.ledger.loc[key]
        if one.outcome == ACCEPTED:
            original = row["uri"].removesuffix(".canonical.png")
            assert store.get(original) == one.data, key
        else:
            object_key, record_key = layout.quarantine_keys(one.outcome, row["image_id"], key)
            record = read_json(store, record_key)
            assert store.get(object_key) == one.data, key
            assert (record["source_key"], record["reason"]) == (key, one.outcome)
            assert record["detail"] or one.outcome == "not_an_image", key


def readable(data: bytes) -> bytes:
    """Tables are compressed."""
    return pd.read_parquet(io.BytesIO(data)).to_csv().encode() if data.startswith(b"PAR1") else data


def test_a_patient_is_a_pseudonym_and_named_in_the_files_alone(outcome):
    store, files = outcome.context.store, {one.data for one in outcome.objects.values()}
    ours = {info.key: readable(data) for info in store.list("") if (data := store.get(info.key)) not in files}
    identity = [value.encode() for value in PATIENT.values()]
    group, same = outcome.ledger.loc[["landing/glioma/scan.dcm", "landing/glioma/next scan.dcm"], "group"]

    assert all(value in SCAN for value in identity)
    assert [key for key, data in ours.items() if any(value in key.encode() + data for value in identity)] == []
    assert group == same
    assert re.fullmatch(r"g-[0-9a-f]{16}", group)
    assert group.encode() in ours[f"snapshots/{outcome.result['snapshot_id']}/manifest.parquet"]


def test_nothing_that_was_not_dropped_is_in_quarantine(outcome):
    kept = [info.key for info in outcome.context.store.list("quarantine/") if info.key.endswith(".json")]

    assert len(kept) == outcome.result["quarantined"]


def test_the_landing_zone_is_as_it_was(outcome):
    assert [(info.key, info.etag) for info in outcome.context.store.list("landing/")] == outcome.listing


def test_a_second_ingest_finds_nothing_new(outcome):
    assert ingest.run(outcome.context, NOW)["changed"] is False
