import json
import re
import shutil
from pathlib import Path

import pytest

from ml.approval import Answer
from ml.config import ApprovalSettings
from ml.context import Context
from ml.errors import DataError
from ml.promotions import newest_change
from ml.registry import Registry
from ml.rollout import roll_out
from ml.steps import approve, promote, publish, report
from ml.storage import open_store

from .conftest import NOW, tiny_settings

pytestmark = pytest.mark.slow

ALICE = Answer(True, "2026-01-01T12:00:00+00:00", "Alice", "7")
NOBODY = Answer(False, "2026-01-02T12:00:00+00:00")


@pytest.fixture
def context(first_run, tmp_path):
    """A copy of the first run as it was before the promotion, with settings that ask for approval."""
    before = Path(first_run.context.settings.store.url).parent
    shutil.copytree(before / "store", tmp_path / "store")
    shutil.copy(before / "mlflow.db", tmp_path)
    settings = tiny_settings(tmp_path)
    gate = settings.gate.model_copy(update={"approval": ApprovalSettings()})
    settings = settings.model_copy(update={"gate": gate})
    store = open_store(settings.store)
    for prefix in ("models/", "promotions/"):
        for info in list(store.list(prefix)):
            store.delete(info.key)
    return Context(settings, store)


def page(context):
    return context.store.get("runs/first/report.html").decode()


def without_approval(context):
    gate = context.settings.gate.model_copy(update={"approval": None})
    return Context(context.settings.model_copy(update={"gate": gate}), context.store)


def test_without_the_setting_nobody_is_asked(context):
    request = approve.run(without_approval(context), "first", NOW)

    assert (request["waits"], request["promoted"]) == (False, True)
    assert request["reason"].startswith("Cleared: macro F1")
    assert context.store.head("runs/first/approval.json") is None


def test_what_the_gate_rejected_needs_no_approval(second_run, context):
    context.store.put("runs/first/decision.json", second_run.context.store.get("runs/second/decision.json"))

    request = approve.run(context, "first", NOW)

    assert (request["waits"], request["promoted"]) == (False, False)
    assert request["reason"].startswith("Rejected: better than the champion")


def test_a_page_is_there_to_look_at_while_it_waits(context):
    request = approve.run(context, "first", NOW)

    assert request["waits"]
    assert request["page"] == context.store.uri("runs/first/report.html")
    assert "Not promoted" in page(context)
    assert "Waits for approval since 2026-01-01 at 00:00 UTC." in page(context)


@pytest.mark.parametrize("asked", [False, True], ids=["before-the-task", "asked"])
def test_promotion_waits_for_an_approval(context, asked):
    if asked:
        approve.run(context, "first", NOW)

    with pytest.raises(DataError, match=r"Run first waits for a person's approval .*quartet approve first --by NAME"):
        publish.run(context, "first")
    assert not list(context.store.list("models/"))


def test_a_rejection_by_a_person_is_refused_and_on_the_page(context):
    approve.run(context, "first", NOW)
    approve.answer(context, "first", NOBODY)

    for given in (context, without_approval(context)):
        with pytest.raises(DataError, match=r"Run first was not approved: Rejected .*: nobody answered in time\."):
            publish.run(given, "first")
    assert report.run(context, "first", NOW)["promoted"] is False
    assert "nobody answered in time." in page(context)


def test_who_approved_is_kept_everywhere(context):
    approve.run(context, "first", NOW)
    approve.answer(context, "first", ALICE)

    version = roll_out(context, "first")["version"]
    report.run(context, "first", NOW)

    record = newest_change(context.store, "tiny")
    published = json.loads(context.store.get(f"models/tiny/{version}/assets.extra/approval.json"))
    tags = Registry(context.settings)._client.get_model_version("tiny", str(version)).tags
    named = {"approved_by": "Alice", "approved_by_id": "7", "approved_at": ALICE.at}
    assert (record.by, record.evidence["approval"]["by_id"]) == ("Alice", "7")
    assert {f"quartet.{name}": value for name, value in named.items()}.items() <= tags.items()
    assert published == json.loads(context.store.get("runs/first/approval.json"))
    assert "assets.extra/approval.json" in context.store.get(f"models/tiny/{version}/SHA256SUMS").decode()
    assert re.search(
        rf"Promoted as version {version}.*Approved by Alice \(id 7\) on 2026-01-01 at 12:00 UTC\.",
        page(context),
        re.DOTALL,
    )


def test_an_approval_of_another_decision_promotes_nothing(context):
    approve.run(context, "first", NOW)
    approve.answer(context, "first", ALICE)
    decision = json.loads(context.store.get("runs/first/decision.json"))
    context.store.put("runs/first/decision.json", json.dumps(decision | {"reason": "Cleared otherwise."}).encode())

    with pytest.raises(DataError, match="waits for a person's approval"):
        promote.run(context, "first", NOW)
    assert approve.run(context, "first", NOW)["waits"]


def test_an_approved_decision_is_not_asked_about_again(context):
    approve.run(context, "first", NOW)
    approve.answer(context, "first", ALICE)

    request = approve.run(context, "first", NOW)

    assert (request["waits"], request["promoted"]) == (False, True)
    assert request["reason"].startswith("Approved by Alice")


def test_somebody_may_answer_unasked_and_after_a_rejection(context):
    approve.answer_unasked(context, "first", NOBODY, NOW)
    assert approve.answer_unasked(context, "first", ALICE, NOW).approved


def test_what_was_promoted_without_asking_is_not_rejected_any_more(context):
    version = roll_out(without_approval(context), "first")["version"]

    with pytest.raises(DataError, match=f"cannot be rejected any more: it was promoted as version {version}"):
        approve.answer_unasked(context, "first", Answer(False, ALICE.at, "Bob", "8"), NOW)
    assert context.store.head("runs/first/approval.json") is None


def test_what_was_approved_is_not_rejected_any_more(context):
    approve.answer_unasked(context, "first", ALICE, NOW)

    with pytest.raises(DataError, match="Run first cannot be rejected any more: Approved by Alice"):
        approve.answer_unasked(context, "first", NOBODY, NOW)
