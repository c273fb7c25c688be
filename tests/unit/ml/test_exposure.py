"""The models that saw a forgotten image, and what shows it of them."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from types import SimpleNamespace

import pandas as pd
import pytest

from ml.errors import StoreError
from ml.exposure import Exposure, find_exposures
from ml.forget import forget, plan_forgetting
from ml.plan import store_plan
from ml.registry import Registry
from ml.steps import ingest, publish_snapshot
from ml.storage import dump_json, read_json
from promoted import record_promotion

# MLflow's own modules warn when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

NOW = datetime(2026, 1, 2, tzinfo=UTC)
VERSION = "models/classifier/1/"
WARMUP = f"{VERSION}assets.extra/tf_serving_warmup_requests"


def parquet(**columns):
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer, index=False)
    return buffer.getvalue()


@pytest.fixture
def registry(settings, tracking_database, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(tracking_database.read_bytes())
    return Registry(settings)


@pytest.fixture
def images(context, put_image):
    """Five published images: their bytes by digest, in the order of the digests."""
    data = [put_image("a", f"{n}.png", seed=n) for n in range(5)]
    publish_snapshot.run(context, ingest.run(context, NOW)["snapshot_id"])
    return dict(sorted((hashlib.sha256(one).hexdigest(), one) for one in data))


@pytest.fixture
def trained(store, images, registry):
    """A run whose samples are the images: the first in train, the second in validation, the others in test.

    Its ``narrow`` is version 1 and the champion, and its overlays show the third and the fifth, the surest and the
    least sure; those of ``wide`` the fourth and the fifth.
    """
    ids = list(images)
    splits = ["train", "validation", "test", "test", "test"]
    store_plan(store, {"run_id": "first:run"}, pd.DataFrame({"image_id": ids, "split": splits}))
    for variant in ("narrow", "wide"):
        tracked = registry.start_run("first:run", variant, {})
        candidate = {"run_id": "first:run", "variant": variant, "mlflow_run_id": tracked}
        registry.log_files(tracked, {"attention.png": b"overlays", "curves.png": b"curves"})
        store.put(f"runs/first-run/{variant}/candidate.json", dump_json(candidate))
        store.put(f"runs/first-run/{variant}/attention.png", b"overlays")
        surest = {"narrow": [0.1, 0.9, 0.85, 0.8], "wide": [0.1, 0.85, 0.9, 0.8]}[variant]
        predictions = parquet(
            image_id=ids[1:], split=splits[1:], label=[0] * 4, predicted=[0] * 4, p_a=surest, p_b=[0.05] * 4
        )
        store.put(f"runs/first-run/{variant}/predictions.parquet", predictions)
    store.put("runs/first-run/report.html", b"a page")
    narrow = SimpleNamespace(name="narrow", **read_json(store, "runs/first-run/narrow/candidate.json"))
    record_promotion(store, "classifier", "first:run", narrow.name)
    return ids


@pytest.fixture
def published(store, settings, images, trained):
    """The files of version 1, whose warm-up request is the third image; the local model server has a copy."""
    request = b"a request for " + images[trained[2]] + b" and so on"
    files = {f"{VERSION}saved_model.pb": b"a model", WARMUP: request}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {key[len(VERSION) :]}\n" for key, data in files.items())
    for key, data in (files | {f"{VERSION}SHA256SUMS": sums.encode()}).items():
        store.put(key, data)
        local = settings.serving.model_dir / key.removeprefix("models/")
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(data)


@pytest.fixture
def forget_image(context):
    return lambda image_id: forget(context, plan_forgetting(context, [image_id]), "why", "ann", NOW)


def saw(context, image_id):
    return [
        (one.variant, one.split, one.version, one.champion, one.shown)
        for _, one in find_exposures(context, frozenset({image_id}))
    ]


@pytest.mark.parametrize(
    ("number", "split", "shown"),
    [
        (0, "train", [False, False]),
        (1, "validation", [False, False]),
        (2, "test", [True, False]),
        (3, "test", [False, True]),
        (4, "test", [True, True]),
    ],
)
def test_each_model_says_as_what_it_saw_an_image(context, trained, number, split, shown):
    assert saw(context, trained[number]) == [
        ("narrow", split, 1, True, shown[0]),
        ("wide", split, None, False, shown[1]),
    ]


def test_ensembles_and_ablations_are_named_as_they_are_published(store, context, images, trained):
    ensemble = {"run_id": "first:run", "members": [], "mlflow_run_id": "none"}
    ablation = {"run_id": "first:run", "variant": "narrow", "attention": False, "mlflow_run_id": "none"}
    store.put("runs/first-run/ensemble/candidate.json", dump_json(ensemble))
    store.put("runs/first-run/narrow-no-attention/candidate.json", dump_json(ablation))

    assert [name for name, *_ in saw(context, trained[0])] == ["ensemble", "narrow-no-attention", "narrow", "wide"]


def test_a_promotion_that_the_registry_lost_is_known_by_its_record(context, store, trained):
    record_promotion(store, "classifier", "first:run", "wide", version=7)

    assert saw(context, trained[0]) == [("narrow", "train", 1, False, False), ("wide", "train", 7, True, False)]


def test_an_image_that_no_run_names_was_seen_by_no_model(context, trained):
    assert saw(context, "0" * 64) == []


def test_tombstones_keep_the_models(store, trained, forget_image):
    forget_image(trained[0])

    assert read_json(store, f"forgotten/{trained[0]}.json")["models"] == [
        Exposure("first:run", "narrow", "train", 1, champion=True).to_dict(),
        Exposure("first:run", "wide", "train").to_dict(),
    ]


def test_overlays_and_the_page_that_show_it_go_from_the_store_and_the_tracking_server(
    store, trained, forget_image, tmp_path
):
    forget_image(trained[2])

    assert store.head("runs/first-run/narrow/attention.png") is None
    assert store.head("runs/first-run/report.html") is None
    assert store.head("runs/first-run/wide/attention.png")
    assert [path.name for path in (tmp_path / "artifacts").rglob("*.png")].count("attention.png") == 1
    assert [path.name for path in (tmp_path / "artifacts").rglob("*.png")].count("curves.png") == 2


def test_page_that_shows_it_among_doubtful_labels_goes_and_the_overlays_stay(store, trained, forget_image):
    store.put("runs/first-run/report.json", dump_json({"doubted": [trained[0]]}))

    forget_image(trained[0])

    assert store.head("runs/first-run/report.html") is None
    assert store.head("runs/first-run/narrow/attention.png")


def test_overlays_that_show_others_stay(store, trained, forget_image):
    forget_image(trained[0])

    assert store.head("runs/first-run/narrow/attention.png")
    assert store.head("runs/first-run/report.html")


def test_a_version_loses_the_warm_up_request_that_holds_it(store, settings, images, published, trained, forget_image):
    forget_image(trained[2])

    assert store.head(WARMUP) is None
    assert store.get(f"{VERSION}SHA256SUMS").decode().split()[1:] == ["saved_model.pb"]
    copies = [path for path in settings.serving.model_dir.rglob("*") if path.is_file()]
    assert sorted(path.name for path in copies) == ["SHA256SUMS", "saved_model.pb"]


def test_every_version_of_a_model_that_was_published_twice_loses_it(store, published, trained, registry, forget_image):
    """As by a person who promotes what had been published and not promoted."""
    narrow = SimpleNamespace(name="narrow", **read_json(store, "runs/first-run/narrow/candidate.json"))
    version = registry.claim_version(narrow, "uri", above=4)
    registry.record_published(version, "Cleared.", {})
    other = WARMUP.replace(VERSION, f"models/classifier/{version}/")
    store.put(other, store.get(WARMUP))

    forget_image(trained[2])

    assert version == 5
    assert (store.head(WARMUP), store.head(other)) == (None, None)


def test_a_warm_up_request_of_another_image_stays(store, published, trained, forget_image):
    forget_image(trained[3])

    assert store.head(WARMUP)
    assert len(store.get(f"{VERSION}SHA256SUMS").splitlines()) == 2


def test_a_registry_that_does_not_answer_stops_it_before_anything_is_removed(store, make_settings, trained):
    from ml.context import Context

    away = Context(make_settings({"tracking_uri": "file-that-is-no-address://"}), store)

    with pytest.raises(StoreError, match=r"file-that-is-no-address://.* nothing has been removed"):
        plan_forgetting(away, [trained[0]])
