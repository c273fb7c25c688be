"""Samples about the monitor's newest look."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from ml import layout
from ml.monitoring import Finding
from ml.telemetry.families import Sample
from ml.telemetry.parts import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.context import Context
    from ml.records import Records

__all__ = ["STATUSES", "read_monitor"]

STATUSES = ("within", "beyond", "unknown")


def read_monitor(context: Context, records: Records) -> Reading:
    """Read the newest report; what lies there is removed after `monitoring.retention_days`.

    Raises:
        StoreError: the store does not answer.
    """
    prefix = layout.monitoring_key(context.settings.model_name, "")
    reports = [info for info in context.store.list(prefix) if info.key.endswith("/report.json")]
    newest = max(reports, key=lambda info: info.last_modified, default=None)
    if newest is None:
        samples = [Sample("quartet_monitor_findings", 0, (status,)) for status in STATUSES]
        return Reading([Sample("quartet_monitor_timestamp_seconds", 0), *samples])
    report = records.once(context.store, newest.key)
    findings = [Finding.from_dict(one) for one in report["findings"]]
    at = datetime.fromisoformat(report["at"]).timestamp()
    return Reading([Sample("quartet_monitor_timestamp_seconds", at), *_findings(findings)])


def _findings(findings: list[Finding]) -> Iterator[Sample]:
    counts: Counter[str] = Counter(finding.status for finding in findings)
    for status in STATUSES:
        yield Sample("quartet_monitor_findings", counts[status], (status,))
    for finding in findings:
        names = (finding.topic, finding.name)
        for status in STATUSES:
            yield Sample("quartet_monitor_finding_status", int(status == finding.status), (*names, status))
        if finding.value is not None:
            yield Sample("quartet_monitor_finding_value", finding.value, names)
