"""What must hold of a snapshot: a Great Expectations suite in code, and its result in plain rows."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ml.splits import EXCLUDED, SPLITS

if TYPE_CHECKING:
    import pandas as pd

    from ml.config import Settings

__all__ = ["CheckResult", "check_manifest"]


#: The suite's expectations in words.
SENTENCES = {
    "expect_column_unique_value_count_to_be_between": "different values of {column}: {bounds}",
    "expect_column_values_to_be_between": "{column} {bounds}",
    "expect_column_values_to_be_in_set": "{column} is one of {allowed}",
    "expect_column_values_to_be_unique": "{column} is unique",
    "expect_column_values_to_match_regex": "{column} matches {regex}",
    "expect_column_values_to_not_be_null": "{column} is present",
}


@dataclass(frozen=True)
class CheckResult:
    """One expectation's outcome; ``offending`` holds up to 20 image ids."""

    expectation: str
    severity: str
    passed: bool
    observed: str
    offending: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def check_manifest(
    manifest: pd.DataFrame, classes: tuple[str, ...], quarantined_share: float, settings: Settings
) -> list[CheckResult]:
    """Run the suite.

    Args:
        manifest: at least one row.
        classes: the labels that must all be there.
        quarantined_share: of all objects seen.
        settings: thresholds and image limits.
    """
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    images = context.data_sources.add_pandas("snapshot").add_dataframe_asset("manifest")
    tables = context.data_sources.add_pandas("derived")
    per_class = _per_class(manifest, classes, quarantined_share)
    outcome = [
        *_run(
            context, images.add_batch_definition_whole_dataframe("all"), manifest, _image_suite(gx, settings, classes)
        ),
        *_run(
            context,
            tables.add_dataframe_asset("classes").add_batch_definition_whole_dataframe("all"),
            per_class,
            _class_suite(gx, settings),
        ),
    ]
    return sorted(outcome, key=lambda result: (result.passed, result.severity, result.expectation))


def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
    # It logs hundreds of lines at INFO while it is imported.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations

    return great_expectations


def _per_class(manifest: pd.DataFrame, classes: tuple[str, ...], quarantined_share: float) -> pd.DataFrame:
    import pandas as pd

    table = pd.crosstab(manifest["label"], manifest["split"])
    table = table.reindex(index=list(classes), columns=list(SPLITS), fill_value=0)
    images = table.sum(axis=1)
    return (
        table.assign(images=images, share=images / max(1, len(manifest)), quarantined_share=quarantined_share)
        .rename_axis("label")
        .reset_index()
    )


def _image_suite(gx: Any, settings: Settings, classes: tuple[str, ...]) -> list[Any]:
    expect = gx.expectations
    images = settings.images
    critical = [
        *(expect.ExpectColumnValuesToNotBeNull(column=name) for name in ("image_id", "uri", "label", "group", "split")),
        expect.ExpectColumnValuesToBeUnique(column="image_id"),
        expect.ExpectColumnValuesToMatchRegex(column="image_id", regex=r"^[0-9a-f]{64}$"),
        expect.ExpectColumnValuesToBeInSet(column="label", value_set=list(classes)),
        expect.ExpectColumnValuesToBeInSet(column="split", value_set=[*SPLITS, EXCLUDED]),
        expect.ExpectColumnValuesToBeBetween(column="width", min_value=images.min_side),
        expect.ExpectColumnValuesToBeBetween(column="height", min_value=images.min_side),
        expect.ExpectColumnValuesToBeBetween(column="bytes", min_value=1, max_value=images.max_bytes),
        expect.ExpectColumnUniqueValueCountToBeBetween(column="label", min_value=2),
    ]
    warning = [expect.ExpectColumnValuesToBeBetween(column="contrast", min_value=settings.validation.min_contrast)]
    return _with_severity(critical, "critical") + _with_severity(warning, "warning")


def _class_suite(gx: Any, settings: Settings) -> list[Any]:
    expect = gx.expectations
    limits = settings.validation
    between = expect.ExpectColumnValuesToBeBetween
    critical = [
        between(column="images", min_value=limits.min_images_per_class),
        between(column="train", min_value=1),
        between(column="validation", min_value=1),
        between(column="test", min_value=limits.min_test_images_per_class),
    ]
    warning = [
        between(column="share", max_value=limits.max_class_share),
        between(column="quarantined_share", max_value=limits.max_quarantined_share),
    ]
    return _with_severity(critical, "critical") + _with_severity(warning, "warning")


def _with_severity(expectations: list[Any], severity: str) -> list[Any]:
    return [
        expectation.model_copy(update={"severity": severity})
        if hasattr(expectation, "model_copy")
        else expectation.copy(update={"severity": severity})
        for expectation in expectations
    ]


def _run(context: Any, batch: Any, frame: pd.DataFrame, expectations: list[Any]) -> list[CheckResult]:
    import great_expectations as gx

    name = f"{batch.data_asset.name}_suite"
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    index = "image_id" if "image_id" in frame.columns else "label"
    outcome = definition.run(
        batch_parameters={"dataframe": frame},
        result_format={"result_format": "SUMMARY", "unexpected_index_column_names": [index]},
    )
    return [_read(result, frame, index) for result in outcome.results]


def _read(result: Any, frame: pd.DataFrame, index: str) -> CheckResult:
    if result.exception_info.get("raised_exception"):
        raise RuntimeError(f"expectation {result.expectation_config.type} failed: {result.exception_info}")
    config = result.expectation_config
    arguments = {key: value for key, value in config.kwargs.items() if key not in {"batch_id", "column"}}
    column = config.kwargs.get("column", "")
    unexpected = result.result.get("partial_unexpected_index_list") or []
    return CheckResult(
        expectation=_sentence(config.type, column, arguments),
        severity=str(getattr(config.severity, "value", config.severity)),
        passed=bool(result.success),
        observed=_observed(result.result, unexpected, frame, column, index),
        offending=tuple(str(row[index]) for row in unexpected[:20]),
    )


def _sentence(kind: str, column: str, arguments: dict[str, Any]) -> str:
    low, high = (_number(arguments.get(name)) for name in ("min_value", "max_value"))
    bounds = f"from {low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    allowed = ", ".join(map(str, arguments.get("value_set") or ()))
    return SENTENCES[kind].format(column=column, bounds=bounds, allowed=allowed, regex=arguments.get("regex"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value == int(value) else f"{value:g}"


def _observed(
    result: dict[str, Any], unexpected: list[dict[str, Any]], frame: pd.DataFrame, column: str, index: str
) -> str:
    if "observed_value" in result:
        return f"{result['observed_value']}: {', '.join(sorted(map(str, frame[column].dropna().unique()))[:5])}"
    count, total = result.get("unexpected_count", 0), result.get("element_count", 0)
    examples = ", ".join(f"{row[index]} has {row.get(column)}" for row in unexpected[:5])
    return f"{count} of {total} outside" + (f": {examples}" if examples else "")
