"""What a run's page shows of slices, of the winner's closer look and of confounders, from what the steps kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ml.confounders import STRONG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ml.page_parts import Interval
    from ml.report import Figure

__all__ = [
    "ChangeView",
    "ConfounderView",
    "ExaminationView",
    "OverlayView",
    "SliceView",
    "SlicedView",
    "SlicesView",
    "confounder_views",
    "examination_view",
    "slices_view",
]

OVERLAYS = {"attention": "attention", "grad_cam": "evidence (Grad-CAM)", "random": "random"}


class SliceView(NamedTuple):
    """Images of one slice, of so many groups, and the share that is right."""

    value: str
    images: int
    groups: int
    accuracy: float
    interval: Interval
    worst: bool


@dataclass(frozen=True)
class SlicedView:
    """The slices of one attribute; ``small`` further values, with so many images in all, are too small."""

    name: str
    slices: tuple[SliceView, ...]
    small: int
    small_images: int


@dataclass(frozen=True)
class SlicesView:
    """All slices of a candidate's test images; ``worst`` names one, None where each is too small."""

    min_images: int
    attributes: tuple[SlicedView, ...]
    worst: str | None


class ChangeView(NamedTuple):
    """A change of the images, and what the winner makes of them; ``passed`` is None where it may lose by it."""

    title: str
    macro_f1: float
    interval: Interval
    difference: float
    unmoved: float
    unmoved_interval: Interval
    passed: bool | None


class OverlayView(NamedTuple):
    """How faithful a kind of overlay is; ``gain`` against random overlays, None for these."""

    name: str
    deletion: float
    insertion: float
    score: float
    gain: float | None
    interval: Interval


@dataclass(frozen=True)
class ExaminationView:
    """The winner, looked at closely."""

    variant: str
    size_mb: float
    latency_ms: tuple[float, float]
    machine: str
    changes: tuple[ChangeView, ...] = ()
    changed_images: int = 0
    clean_macro_f1: float = 0.0
    min_unmoved: float = 0.0
    overlays: tuple[OverlayView, ...] = ()
    overlay_images: int = 0
    figures: tuple[Figure, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether attention shows where the answer comes from, in a sentence; nothing where it was not looked at."""
        attention = next((row for row in self.overlays if row.name == OVERLAYS["attention"]), None)
        if attention is None or attention.gain is None:
            return ""
        if attention.interval is None:
            return "All images are of one group: what the overlays are worth cannot be said."
        low, high = attention.interval
        if low > 0:
            return "The attention overlays mark what the answer rests on better than random ones, beyond chance."
        if high < 0:
            return "The attention overlays mislead: random ones are better, beyond chance."
        return "The attention overlays are not shown to be better than random ones: do not read much into them."


class ConfounderView(NamedTuple):
    """How much an attribute of the training images says of their label, from 0 to 1."""

    attribute: str
    association: float
    images: int

    @property
    def strong(self) -> bool:
        """Whether a model may well have learned it."""
        return self.association >= STRONG


def slices_view(slices: Mapping[str, Any]) -> SlicesView:
    """From what :func:`ml.slices.measure_slices` gives."""
    worst = slices["worst"]
    place = worst and (worst["attribute"], worst["value"])
    attributes = tuple(
        SlicedView(
            attribute["name"],
            tuple(SliceView(**row, worst=(attribute["name"], row["value"]) == place) for row in attribute["slices"]),
            attribute["small"]["values"],
            attribute["small"]["images"],
        )
        for attribute in slices["attributes"]
    )
    return SlicesView(slices["min_images"], attributes, worst and f"{worst['attribute']} {worst['value']}")


def examination_view(document: Mapping[str, Any], figures: Iterable[Figure]) -> ExaminationView:
    """From what :func:`ml.steps.examine.run` gives, and its pictures."""
    export, changes, overlays = document["export"], document["changes"], document["overlays"]
    return ExaminationView(
        variant=document["variant"],
        size_mb=export["size_mb"],
        latency_ms=(export["latency_ms_p50"], export["latency_ms_p95"]),
        machine=export["machine"],
        changes=tuple(_change(row) for row in changes["changes"]) if changes else (),
        changed_images=changes["images"] if changes else 0,
        clean_macro_f1=changes["clean"]["macro_f1"] if changes else 0.0,
        min_unmoved=changes["min_unmoved"] if changes else 0.0,
        overlays=tuple(_overlay(name, row) for name, row in overlays["overlays"].items()) if overlays else (),
        overlay_images=overlays["images"] if overlays else 0,
        figures=tuple(figures),
    )


def confounder_views(rows: Iterable[Mapping[str, Any]]) -> tuple[ConfounderView, ...]:
    """From what :func:`ml.confounders.find_confounders` gives."""
    return tuple(ConfounderView(**row) for row in rows)


def _change(row: Mapping[str, Any]) -> ChangeView:
    return ChangeView(
        row["title"],
        row["macro_f1"],
        row["intervals"]["macro_f1"],
        row["difference"],
        row["unmoved"],
        row["unmoved_interval"],
        row["passed"],
    )


def _overlay(name: str, row: Mapping[str, Any]) -> OverlayView:
    return OverlayView(OVERLAYS[name], row["deletion"], row["insertion"], row["score"], row["gain"], row["interval"])
