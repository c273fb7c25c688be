import uuid
from datetime import UTC, datetime

import pytest

from bench.decided import store_run
from ml.context import Context
from ml.overview import load_headline, load_overview
from ml.promotions import Champion
from ml.records import Records
from ml.run_summaries import pack_records
from ml.snapshots import publish_snapshot
from ml.steps import ingest
from ml.storage import dump_json, open_store
from ml.storage.folder import FolderStore
from promoted import record_promotion

from .conftest import NOW


def test_an_empty_store_is_shown_as_such(look):
    overview = look()

    assert overview.problems == ()
    assert (overview.model_name, overview.at) == ("classifier", NOW)
    assert overview.history.changes == overview.history.runs == ()


def test_a_story_is_shown_without_a_problem(look, story):
    assert look().problems == ()


def test_a_store_that_does_not_answer_is_said_in_every_part(make_settings, closed_port, s3_credentials):
    store = {"url": "s3://lost", "endpoint_url": f"http://127.0.0.1:{closed_port}", "max_attempts": 1}
    settings = make_settings({"store": store, "serving": {"grpc_port": closed_port}})

    overview = load_overview(Context(settings, open_store(settings.store)), NOW, Records())

    assert len(overview.problems) >= 3
    assert all("does not answer" in problem for problem in overview.problems)
    assert overview.champion.version is None


def test_behind_s3_it_is_the_same(make_settings, moto_server, s3_credentials, closed_port, put_image, context):
    url = f"s3://{moto_server.bucket('quartet-overview').name}/{uuid.uuid4().hex}"
    settings = make_settings(
        {
            "store": {"url": url, "endpoint_url": moto_server.endpoint},
            "serving": {"grpc_port": closed_port},
            "gate": {"min_macro_f1": 0.85},
        }
    )
    store = open_store(settings.store)
    for number in range(6):
        store.put(f"landing/a/{number}.png", put_image("a", f"{number}.png", seed=number))
    both = [Context(settings, one) for one in (store, context.store)]
    found = []
    for one in both:
        publish_snapshot(one.store, ingest.run(one, datetime(2026, 1, 2, tzinfo=UTC))["snapshot_id"])
        store_run(one, "one")
        record_promotion(one.store, "classifier", "one", "mobilenet")
        store_run(one, "two", wrong=40, champion=Champion(1, "one", "mobilenet"))
        pack_records(one.store, "classifier")
        found.append(load_overview(one, NOW, Records()))

    there, here = found

    assert there.problems == here.problems == ()
    assert (there.champion, there.pictures) == (here.champion, here.pictures)
    assert [(row.images, row.counts, row.newest) for row in there.data.snapshots] == [
        (row.images, row.counts, row.newest) for row in here.data.snapshots
    ]
    assert (there.history.changes, there.latest.gate) == (here.history.changes, here.latest.gate)
    assert [row.run_id for row in there.history.runs] == [row.run_id for row in here.history.runs]


class Counted(FolderStore):
    """A folder that says how often it was asked for anything."""

    requests = 0

    def get_with_etag(self, key):
        self.requests += 1
        return super().get_with_etag(key)

    def head(self, key):
        self.requests += 1
        return super().head(key)

    def list(self, prefix):
        self.requests += 1
        return super().list(prefix)


@pytest.fixture
def counted(settings, tmp_path):
    return Context(settings, Counted(tmp_path / "store"))


def add_runs(context, summary, count):
    for number in range(count):
        name = f"more-{number:03d}"
        document = summary.to_dict() | {"run_id": name, "decided_at": f"2025-01-01T00:{number // 60:02d}:00+00:00"}
        context.store.put(f"summaries/runs/classifier/{name}.json", dump_json(document))


@pytest.mark.parametrize("load", [load_overview, load_headline])
def test_two_hundred_runs_more_cost_no_request_once_they_are_known(counted, story, load):
    def asked():
        before = counted.store.requests
        load(counted, NOW, records)
        return counted.store.requests - before

    records = Records()
    load(counted, NOW, records)
    few = asked()
    add_runs(counted, story["one"], 200)
    load(counted, NOW, records)

    assert asked() == few


def test_two_hundred_runs_more_cost_one_request_the_first_time_where_they_are_packed(counted, story):
    load_overview(counted, NOW, Records())
    few = counted.store.requests
    add_runs(counted, story["one"], 200)
    pack_records(counted.store, "classifier")
    counted.store.requests = 0

    overview = load_overview(counted, NOW, Records())

    assert len(overview.history.runs) == 203
    assert counted.store.requests <= few + 1


def test_headline_says_what_the_page_says(context, story, look):
    headline, overview = load_headline(context, NOW, Records()), look()

    assert headline.champion == overview.champion
    assert headline.run == overview.history.runs[0]
    assert headline.served.verdict == overview.served.verdict
    assert headline.problem == ""


def test_headline_of_an_empty_store_has_no_run(context):
    headline = load_headline(context, NOW, Records())

    assert (headline.run, headline.champion.version, headline.problem) == (None, None, "")
