"""Hold a snapshot against the suite with Great Expectations, and read its result into plain rows."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from ml.manifest import MANIFEST, classes_of
from ml.measures import count_arrivals, measure_drift, measure_shares
from ml.splits import EXCLUDED, count_by_split
from ml.wording import bounds, observe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ml.config import Settings
    from ml.expectations import Check
    from ml.measures import Measure
    from ml.snapshots import Snapshot

__all__ = ["CheckResult", "check_snapshot"]

#: Great Expectations keeps no more rows that do not meet an expectation.
MAX_OFFENDING = 200


@dataclass(frozen=True)
class CheckResult:
    """One expectation's outcome.

    Attributes:
        topic: heading under which a report shows it.
        title: what was looked at.
        required: what must be.
        observed: what was found, or why nothing was measured.
        measure: name of the measure.
        severity: what it means when it is not met.
        status: an expectation that could not be measured is neither met nor not.
        offending: the first image ids (or labels, where ``about`` is "classes") that are outside, 200 at most.
        offending_count: how many there are. An expectation with a tolerance may have some and be met.
        about: what ``offending`` names.
    """

    topic: str
    title: str
    required: str
    observed: str
    measure: str
    severity: str
    status: Literal["passed", "failed", "not measured"]
    offending: tuple[str, ...] = ()
    offending_count: int = 0
    about: str = "snapshot"

    @property
    def expectation(self) -> str:
        """The title with what must be."""
        return f"{self.title}: {self.required}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def check_snapshot(
    snapshot: Snapshot,
    parent: pd.DataFrame | None,
    settings: Settings,
    measures: Sequence[Measure] = (),
    docs: Path | None = None,
) -> list[CheckResult]:
    """Run the suite.

    Args:
        snapshot: with at least one image.
        parent: the parent's manifest, None when there is no parent.
        settings: thresholds, image limits and declared classes.
        measures: besides those that the tables themselves give.
        docs: an empty folder for Great Expectations' own pages; none are written without it.

    Returns:
        The outcomes in the order of the suite. Where the manifest lacks a column, only the check of its columns.
    """
    manifest = snapshot.manifest
    gx = _great_expectations()
    from ml.expectations import build_suite

    complete = set(MANIFEST.columns.names) <= set(manifest.columns)
    classes = classes_of(manifest, settings) if complete else ()
    every = [*_measures(snapshot, parent, settings), *measures] if complete else []
    suite = build_suite(settings, classes, every)
    tables = {"columns": manifest.head(0)}
    if complete:
        tables |= _tables(manifest, classes, [measure for measure in every if measure.value is not None])
    context = _context(gx, docs)
    outcomes = {name: _run(gx, context, name, tables[name], suite) for name in tables}
    if docs is not None:
        context.build_data_docs()
    results = [_read(check, outcomes[check.table][check.key], tables) for check in suite if check.table in tables]
    return [*results, *(_not_measured(measure) for measure in every if measure.value is None)]


def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
    # It logs hundreds of lines at INFO while it is imported.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations

    return great_expectations


def _measures(snapshot: Snapshot, parent: pd.DataFrame | None, settings: Settings) -> list[Measure]:
    ledger, manifest, limits = snapshot.ledger, snapshot.manifest, settings.validation
    arrived = manifest[manifest["snapshot"] == snapshot.snapshot_id]
    now = count_arrivals(ledger[ledger["snapshot"] == snapshot.snapshot_id], arrived)
    return [
        *measure_shares(now, count_arrivals(ledger, manifest), limits),
        *measure_drift(arrived, parent, limits),
    ]


def _tables(manifest: pd.DataFrame, classes: tuple[str, ...], measures: list[Measure]) -> dict[str, pd.DataFrame]:
    from ml.expectations import IMAGE_TABLES

    images = manifest.assign(splits_of_group=_splits_of_group(manifest))
    # Great Expectations compares other integers than these row by row.
    wide = images.astype(dict.fromkeys(images.select_dtypes("int32").columns, "int64"))
    return {
        **{name: wide[list(columns)] for name, columns in IMAGE_TABLES.items()},
        "classes": _per_class(manifest, classes),
        "snapshot": pd.DataFrame({measure.name: [measure.value] for measure in measures}),
    }


def _splits_of_group(manifest: pd.DataFrame) -> pd.Series:
    """In how many splits an image's group lies; an excluded image lies in none and says 1."""
    placed = manifest["split"] != EXCLUDED
    counts = manifest.loc[placed, ["group", "split"]].drop_duplicates()["group"].value_counts()
    shared = counts[counts > 1]
    splits = pd.Series(1, index=manifest.index)
    across = placed & manifest["group"].isin(shared.index)
    return splits.mask(across, manifest["group"][across].map(shared))


def _per_class(manifest: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    table = count_by_split(manifest["label"], manifest["split"], classes)
    images = table.sum(axis=1)
    return table.assign(images=images, share=images / max(1, images.sum())).rename_axis("label").reset_index()


def _context(gx: Any, docs: Path | None) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    if docs is None:
        return context
    # Its own site would be left behind in a temporary folder.
    context.update_data_docs_site(
        "local_site",
        {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False},
        },
    )
    return context


def _run(gx: Any, context: Any, table: str, frame: pd.DataFrame, suite: list[Check]) -> dict[str, Any]:
    """Great Expectations' results by the checks' keys."""
    expectations = []
    for check in suite:
        if check.table == table:
            check.expectation.meta = {"check": check.key}
            expectations.append(check.expectation)
    asset = context.data_sources.add_pandas(table).add_dataframe_asset("snapshot")
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(
            name=table,
            data=asset.add_batch_definition_whole_dataframe("all"),
            suite=context.suites.add(gx.ExpectationSuite(name=table, expectations=expectations)),
        )
    )
    outcome = definition.run(
        batch_parameters={"dataframe": frame},
        result_format={
            "result_format": "SUMMARY",
            "include_unexpected_rows": True,
            "partial_unexpected_count": MAX_OFFENDING,
        },
    )
    return {result.expectation_config.meta["check"]: result for result in outcome.results}


def _read(check: Check, result: Any, tables: dict[str, pd.DataFrame]) -> CheckResult:
    if result.exception_info.get("raised_exception"):
        raise RuntimeError(f"the expectation '{check.key}' could not be evaluated: {result.exception_info}")
    rows, index = result.result.get("unexpected_rows"), check.index
    offending = rows[index].astype(str).tolist() if rows is not None and index else []
    return CheckResult(
        topic=check.topic,
        title=check.title,
        required=check.required,
        observed=observe(check, result.result, tables[check.table]),
        measure=check.method,
        severity=str(getattr(result.expectation_config.severity, "value", result.expectation_config.severity)),
        status="passed" if result.success else "failed",
        offending=tuple(offending),
        offending_count=int(result.result.get("unexpected_count") or 0) if index else 0,
        about=check.about,
    )


def _not_measured(measure: Measure) -> CheckResult:
    return CheckResult(
        topic=measure.topic,
        title=measure.title,
        required=bounds(measure.low, measure.high, measure.is_share),
        observed=f"not measured: {measure.note}",
        measure=measure.method,
        severity="warning",
        status="not measured",
    )
