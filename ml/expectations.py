"""The suite: what must hold of a snapshot, as Great Expectations knows it and as a report says it.

Importing this module imports Great Expectations, which takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from great_expectations import expectations as gxe

from ml.manifest import MANIFEST
from ml.splits import EXCLUDED, SPLITS
from ml.wording import bounds, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.config import Settings, ValidationSettings
    from ml.measures import Measure

__all__ = ["IMAGE_TABLES", "Check", "build_suite"]

Severity = Literal["critical", "warning"]
SHA256 = r"^[0-9a-f]{64}$"
#: The manifest is looked at in narrow tables: Great Expectations copies a table's rows many times.
IMAGE_TABLES = {
    "identities": ("image_id", "pixel_id", "uri", "source_key", "group", "perceptual_hash"),
    "labels": ("image_id", "label", "split", "format", "snapshot", "ingested_at"),
    "pixels": (
        "image_id",
        "width",
        "height",
        "channels",
        "bytes",
        "brightness",
        "contrast",
        "sharpness",
        "splits_of_group",
    ),
}


@dataclass(frozen=True)
class Check:
    """One expectation with its words.

    Attributes:
        table: one of :data:`IMAGE_TABLES`, ``columns`` (the manifest without rows), ``classes`` (a row a class) or
            ``snapshot`` (one row of measures).
        topic: heading under which a report shows it.
        title: what is looked at.
        required: what must be.
        expectation: of Great Expectations, with its severity.
        method: name of the measure.
        measure: None for checks on rows.
    """

    table: str
    topic: str
    title: str
    required: str
    expectation: Any
    method: str = "each image"
    measure: Measure | None = None

    @property
    def key(self) -> str:
        """Names the check in a suite."""
        return f"{self.table}: {self.title}: {self.required}"

    @property
    def about(self) -> Literal["images", "classes", "snapshot"]:
        """What the table's rows are."""
        return "images" if self.table in IMAGE_TABLES else "classes" if self.table == "classes" else "snapshot"

    @property
    def index(self) -> str | None:
        """The column that names the table's rows."""
        return {"images": "image_id", "classes": "label", "snapshot": None}[self.about]

    @property
    def column(self) -> str | None:
        """The column that is looked at."""
        column = getattr(self.expectation, "column", None)
        return None if column is None else str(column)


def build_suite(settings: Settings, classes: tuple[str, ...], measures: Sequence[Measure]) -> list[Check]:
    """Every check, in the order of a report; measures without a value are left to the caller.

    Args:
        settings: thresholds and image limits.
        classes: the labels that must all be there.
        measures: on the snapshot as a whole.
    """
    return [
        *_table_checks(),
        *_image_checks(settings),
        *_class_checks(settings, classes),
        *(_measure_check(measure) for measure in measures if measure.value is not None),
    ]


def _table_checks() -> list[Check]:
    topic, critical = "The table", "critical"
    columns = list(MANIFEST.columns.names)
    return [
        Check(
            "columns",
            topic,
            "Columns",
            f"exactly the {len(columns)} of a manifest",
            gxe.ExpectTableColumnsToMatchSet(column_set=columns, exact_match=True, severity=critical),
        ),
        *(
            Check(
                _table_of(name),
                topic,
                name,
                "present",
                gxe.ExpectColumnValuesToNotBeNull(column=name, severity=critical),
            )
            for name in (field.name for field in MANIFEST.columns if not field.nullable)
        ),
        *(
            check
            for name in ("image_id", "pixel_id")
            for check in (
                Check(
                    "identities",
                    topic,
                    name,
                    "unique",
                    gxe.ExpectColumnValuesToBeUnique(column=name, severity=critical),
                ),
                Check(
                    "identities",
                    topic,
                    name,
                    "a SHA-256 in hexadecimal digits",
                    gxe.ExpectColumnValuesToMatchRegex(column=name, regex=SHA256, severity=critical),
                ),
            )
        ),
    ]


def _image_checks(settings: Settings) -> list[Check]:
    images, limits = settings.images, settings.validation
    longest = images.max_pixels // images.min_side
    return [
        _between("Width", "width", images.min_side, longest, "pixels"),
        _between("Height", "height", images.min_side, longest, "pixels"),
        _between("Bytes", "bytes", 1, images.max_bytes, "bytes"),
        _between("Channels", "channels", 1, 4, "of the file"),
        _mostly("brightness", limits.min_brightness, limits.max_brightness, limits, "mean grey level"),
        _mostly("contrast", limits.min_contrast, None, limits, "standard deviation of grey levels"),
        _mostly("sharpness", limits.min_sharpness, None, limits, "variance of the Laplacian"),
    ]


def _class_checks(settings: Settings, classes: tuple[str, ...]) -> list[Check]:
    limits = settings.validation
    return [
        _in_set("Label", "label", classes),
        Check(
            "labels",
            "Classes and splits",
            "Different labels",
            "at least 2",
            gxe.ExpectColumnUniqueValueCountToBeBetween(column="label", min_value=2, severity="critical"),
        ),
        _in_set("Split", "split", (*SPLITS, EXCLUDED)),
        Check(
            "pixels",
            "Classes and splits",
            "Splits that an image's group lies in",
            "at most 1",
            gxe.ExpectColumnValuesToBeBetween(column="splits_of_group", max_value=1, severity="critical"),
        ),
        _per_class("Images of each class", "images", low=limits.min_images_per_class),
        _per_class("Training images of each class", "train", low=limits.min_train_images_per_class),
        _per_class("Validation images of each class", "validation", low=limits.min_validation_images_per_class),
        _per_class("Test images of each class", "test", low=limits.min_test_images_per_class),
        _per_class("Share of each class", "share", high=limits.max_class_share, severity="warning"),
    ]


def _table_of(column: str) -> str:
    return next(name for name, columns in IMAGE_TABLES.items() if column in columns)


def _between(title: str, column: str, low: float, high: float, method: str) -> Check:
    expectation = gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high, severity="critical")
    return Check("pixels", "The images", title, bounds(low, high), expectation, method)


def _mostly(column: str, low: float | None, high: float | None, limits: ValidationSettings, method: str) -> Check:
    share = 1 - limits.tolerated_share
    expectation = gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, mostly=share, severity="warning"
    )
    required = f"{bounds(low, high)}, in at least {number(share, is_share=True)} of the images"
    return Check("pixels", "The images", column.capitalize(), required, expectation, method)


def _in_set(title: str, column: str, values: Sequence[str]) -> Check:
    expectation = gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(values), severity="critical")
    return Check("labels", "Classes and splits", title, f"one of {', '.join(values)}", expectation)


def _per_class(
    title: str, column: str, low: float | None = None, high: float | None = None, severity: Severity = "critical"
) -> Check:
    expectation = gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high, severity=severity)
    method = "share" if column == "share" else "count"
    return Check("classes", "Classes and splits", title, bounds(low, high, column == "share"), expectation, method)


def _measure_check(measure: Measure) -> Check:
    expectation = gxe.ExpectColumnValuesToBeBetween(
        column=measure.name, min_value=measure.low, max_value=measure.high, severity="warning"
    )
    required = bounds(measure.low, measure.high, measure.is_share)
    return Check("snapshot", measure.topic, measure.title, required, expectation, measure.method, measure)
