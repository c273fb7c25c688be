"""A winner that the gate rejected is promoted by a person: what is told of it, everywhere it is told."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from ml.context import Context
from ml.errors import DataError
from ml.orders import PromotionRequest
from ml.promotions import load_changes, newest_change
from ml.registry import Registry
from ml.rollout import roll_out
from ml.steps import order, promote, publish, report
from ml.storage import open_store
from promoted import record_promotion

from .conftest import NOW, tiny_settings

pytestmark = pytest.mark.slow

WISH = PromotionRequest("second", "calmer on site *north*", "Ann", "manual__1", against_the_gate=True)


@pytest.fixture(scope="module")
def context(second_run, tmp_path_factory):
    """A copy of the store with the champion, version 1, and a run that was no better."""
    folder = tmp_path_factory.mktemp("ordered")
    before = Path(second_run.context.settings.store.url).parent
    shutil.copytree(before / "store", folder / "store")
    shutil.copy(before / "mlflow.db", folder)
    settings = tiny_settings(folder)
    return Context(settings, open_store(settings.store))


@pytest.fixture(scope="module")
def version(context):
    order.run(context, WISH, NOW)
    version = roll_out(context, "second")["version"]
    report.run(context, "second", NOW)
    return version


def test_the_record_of_what_serves_names_the_person_and_the_rules(context, version):
    newest = newest_change(context.store, "tiny")

    assert (newest.action, newest.version, newest.by) == ("promote", version, "Ann")
    assert newest.reason.startswith("Against the gate: calmer on site *north*. Rules missed: better than the champion")
    assert newest.evidence["order"]["missed"]
    assert newest.evidence["order"]["against_the_gate"] is True


def test_the_decision_travels_with_the_version_and_names_what_it_was_made_on(context, version):
    prefix = f"models/tiny/{version}/"
    data = context.store.get(f"{prefix}assets.extra/order.json")

    assert data == context.store.get("runs/second/order.json")
    assert "assets.extra/order.json" in context.store.get(f"{prefix}SHA256SUMS").decode()
    decision = context.store.get("runs/second/decision.json")
    assert json.loads(data)["decision_sha256"] == hashlib.sha256(decision).hexdigest()


def test_the_model_card_says_so_above_all_else(context, version):
    card = context.store.get(f"models/tiny/{version}/assets.extra/model_card.md").decode()

    first = next(line for line in card.splitlines() if line.startswith(">"))
    assert first.startswith("> **Promoted against the gate. Ann decided on 2026-01-01 at 00:00 UTC to promote it.")
    assert r"calmer on site \*north\*" in first
    assert "Rules missed: better than the champion" in first
    assert "The gate's decision lies beside this card, in `decision.json`: Rejected" in card


def test_the_registry_has_it_in_tags_and_description(context, version):
    stored = Registry(context.settings)._client.get_model_version("tiny", str(version))

    assert stored.tags["quartet.promoted_by"] == "Ann"
    assert stored.tags["quartet.promotion_reason"] == "calmer on site *north*"
    assert stored.tags["quartet.against_the_gate"].startswith("Against the gate: calmer")
    assert stored.description.startswith("Ann decided on")


def test_the_page_of_the_run_says_so_in_its_heading(context, version):
    page = context.store.get("runs/second/report.html").decode()

    assert f"Promoted as version {version}, against the gate" in page
    assert "<strong>Ann decided on 2026-01-01 at 00:00 UTC to promote it. Against the gate: calmer" in page


def test_tried_again_all_of_it_is_as_it_was(context, version):
    before = load_changes(context.store, "tiny")

    order.run(context, WISH, NOW)
    assert roll_out(context, "second")["version"] == version
    assert load_changes(context.store, "tiny") == before


def test_a_champion_of_after_the_decision_is_not_replaced(context, version):
    """It was decided while version 1 was in production; and the same order promotes nothing else."""
    for info in list(context.store.list("promotions/"))[1:]:
        context.store.delete(info.key)
    record_promotion(context.store, "tiny", "other", "wide", version=40)

    with pytest.raises(
        DataError, match=r"Ann decided to promote run second .* \(version 1\) than today's \(version 40\)"
    ):
        promote.run(context, "second", NOW)
    assert publish.run(context, "second")["version"] == version
