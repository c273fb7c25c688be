from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ml.page_parts import SplitCounts
from ml.quality import CheckResult
from ml.report import split_counts
from ml.snapshot_summaries import checked, unchecked, write_snapshot_summary
from ml.snapshots import Snapshot, publish_snapshot
from ml.steps import ingest, validate
from ml.storage import dump_json, read_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def take_in(context, put_image):
    """Takes in so many more images of two classes, and publishes the snapshot unless told not to."""
    taken = iter(range(1000))

    def take_in(count, publish=True):
        for number in (next(taken) for _ in range(count)):
            put_image("ab"[number % 2], f"{number}.png", seed=number)
        snapshot_id = ingest.run(context, NOW)["snapshot_id"]
        if publish:
            publish_snapshot(context.store, snapshot_id)
        return snapshot_id

    return take_in


def results(*outcomes, about="snapshot"):
    """Rows of `validate`, one an outcome: severity and status."""
    return [
        CheckResult("Topic", f"Title {number}", "at least 3", "2", "measure", severity, status, about=about).to_dict()
        for number, (severity, status) in enumerate(outcomes)
    ]


@pytest.fixture
def check(store):
    """Keeps what `validate` would of a snapshot, given the outcomes."""

    def check(snapshot_id, *outcomes, about="snapshot"):
        snapshot = Snapshot(store, snapshot_id)
        outcome = checked(results(*outcomes, about=about), has_report=True, has_data_docs=True)
        counts = split_counts(snapshot.manifest, ("a", "b"))
        write_snapshot_summary(store, replace(unchecked(snapshot.record), counts=counts, checked=outcome))

    return check


def test_without_a_snapshot_there_is_none(look):
    data = look().data

    assert (data.published, data.snapshots, data.quarantine, data.problem) == ("", (), (), "")


def test_newest_snapshots_are_told_the_newest_first(look, take_in, store):
    first, second = take_in(6), take_in(4)

    data = look().data

    assert data.published == second
    assert [(row.snapshot_id, row.parent, row.images, row.added) for row in data.snapshots] == [
        (second, first, 10, 4),
        (first, None, 6, 6),
    ]
    assert [(row.published, row.newest) for row in data.snapshots] == [(True, True), (True, False)]
    assert data.snapshots[0].at == NOW


def test_images_are_counted_by_class_and_split(look, take_in, check, store):
    snapshot_id = take_in(20)
    check(snapshot_id)
    manifest = Snapshot(store, snapshot_id).manifest

    counts = look().data.snapshots[0].counts

    assert [row.label for row in counts] == ["a", "b"]
    for row in counts:
        splits = manifest[manifest["label"] == row.label]["split"].value_counts()
        assert row == SplitCounts(row.label, *(splits.get(name, 0) for name in ("train", "validation", "test")))


@pytest.mark.parametrize(
    ("outcomes", "verdict", "warnings", "critical"),
    [
        ([("critical", "passed"), ("warning", "not measured")], "passed", 0, 0),
        ([("critical", "passed"), ("warning", "failed")], "warned", 1, 0),
        ([("critical", "failed"), ("warning", "failed")], "failed", 1, 1),
    ],
    ids=["passed", "warned", "failed"],
)
def test_validation_is_told_with_what_was_missed(look, take_in, check, outcomes, verdict, warnings, critical):
    check(take_in(6), *outcomes)

    row = look().data.snapshots[0]

    assert (row.validation, row.checks, row.has_report, row.has_data_docs) == (verdict, 2, True, True)
    assert (len(row.warnings), len(row.critical)) == (warnings, critical)
    assert all(words.endswith(": at least 3 (2)") for words in (*row.warnings, *row.critical))


def test_snapshot_that_nobody_validated_is_looked_up_in_its_folder(look, take_in, check):
    """As `quartet forget` publishes them, and as all were before their summaries were kept."""
    first = take_in(6)
    check(first, ("critical", "passed"))
    second = take_in(4)

    rows = look().data.snapshots

    assert [(row.snapshot_id, row.validation, row.images, row.published) for row in rows] == [
        (second, "unknown", 10, True),
        (first, "passed", 6, True),
    ]
    assert rows[0].counts == ()


def test_validation_from_before_there_were_summaries_is_found_in_the_snapshots_folder(look, take_in, check, store):
    snapshot_id = take_in(6)
    check(snapshot_id, ("warning", "failed"))
    store.delete(f"summaries/snapshots/{snapshot_id}.json")
    store.put(f"snapshots/{snapshot_id}/report/validation.json", dump_json(results(("warning", "failed"))))

    row = look().data.snapshots[0]

    assert (row.validation, row.warnings, row.has_report) == ("warned", ("Title 0: at least 3 (2)",), True)


def test_snapshot_that_failed_and_was_not_published_is_shown_above_the_newest(look, take_in, check):
    published, failed = take_in(6), take_in(4, publish=False)
    check(failed, ("critical", "failed"))

    data = look().data

    assert data.published == published
    assert [(row.snapshot_id, row.published, row.validation) for row in data.snapshots] == [
        (failed, False, "failed"),
        (published, True, "unknown"),
    ]


def test_images_that_are_outside_are_not_named(look, take_in, check):
    check(take_in(6), ("critical", "failed"), about="images")

    assert look().data.snapshots[0].critical == ("Title 0: at least 3",)


def test_first_snapshot_that_failed_is_found_before_any_was_published(look, take_in, check):
    failed = take_in(6, publish=False)
    check(failed, ("critical", "failed"))

    data = look().data

    assert (data.published, [row.snapshot_id for row in data.snapshots]) == ("", [failed])


def test_quarantine_is_told_by_reason_the_most_frequent_first(look, take_in, store):
    store.put("landing/a/broken.png", b"no picture")
    for number in range(2):
        store.put(f"landing/a/{number}.txt", b"")
    snapshot_id = take_in(6)

    data = look().data

    assert dict(data.quarantine) == Snapshot(store, snapshot_id).record["quarantined_by_reason"]
    assert sum(count for _, count in data.quarantine) == data.quarantined == 3
    assert [count for _, count in data.quarantine] == [2, 1]
    assert data.seen == 9


def test_damaged_record_of_a_snapshot_breaks_the_line_off_and_hides_no_summary(look, take_in, check, store):
    first, second = take_in(6), take_in(4)
    check(first, ("critical", "passed"))
    store.put(f"snapshots/{second}/snapshot.json", b"{}")

    data = look().data

    assert [(row.snapshot_id, row.newest) for row in data.snapshots] == [(second, True), (first, False)]
    assert f"Snapshot {second} cannot be read" in data.snapshots[0].problem == data.problem


def test_damaged_summary_is_named_and_the_snapshot_looked_up(look, take_in, check, store):
    snapshot_id = take_in(6)
    check(snapshot_id, ("critical", "passed"))
    store.put(f"summaries/snapshots/{snapshot_id}.json", b'{"snapshot_id": 3}')

    data = look().data

    assert "is no summary of a snapshot" in data.problem
    assert [row.snapshot_id for row in data.snapshots] == [snapshot_id]


def test_damaged_pointer_is_said(look, take_in, check, store):
    check(take_in(6))
    store.put("snapshots/latest.json", b"{")

    data = look().data

    assert "Which snapshot is the newest cannot be read" in data.problem
    assert [row.published for row in data.snapshots] == [False]


def test_only_the_newest_are_shown(look, take_in, check, store):
    check(first := take_in(2))
    document = read_json(store, f"summaries/snapshots/{first}.json")
    parent = first
    for number in range(2, 13):
        name = f"{number:06d}-0"
        summary = document | {"snapshot_id": name, "parent": parent, "images": number}
        store.put(f"summaries/snapshots/{name}.json", dump_json(summary))
        parent = name
    store.put("snapshots/latest.json", dump_json({"snapshot_id": parent}))

    rows = look().data.snapshots

    assert [row.images for row in rows] == list(range(12, 2, -1))
    assert all(row.published for row in rows)


@pytest.mark.slow
def test_what_validate_writes_is_what_is_shown(context, look, take_in):
    """The real task, which takes Great Expectations some seconds."""
    snapshot_id = take_in(20)
    result = validate.run(context, snapshot_id)

    row = look().data.snapshots[0]

    assert result["warnings"] == []
    assert (row.validation, row.checks) == ("passed", result["checks"])
    assert (row.has_report, row.has_data_docs) == (True, True)
    assert sum(sum(count[1:]) for count in row.counts) == row.images == 20
