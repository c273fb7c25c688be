"""Several workers share one backlog, and one of them dies in the middle of it."""

from __future__ import annotations

from collections import Counter

import pytest

from celery_stack import WORKERS
from ml.storage import read_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GPU = {name for name, (queue, _) in WORKERS.items() if queue == "gpu"}
#: What `retrain` gives to the queue `gpu`.
ON_GPU = {"list_missing", "extract", "tune", "train", "evaluate", "examine", "review_labels", "publish"}


def indices(stack):
    """Of all shards that a reader finds, by the key of the shard."""
    found = [info.key for info in stack.store.list("features/") if info.key.endswith(".json")]
    return {key.removesuffix(".json") + ".npy": read_json(stack.store, key)["image_ids"] for key in found}


def written(stack):
    """Every shard that a worker has sent, in order: who, and which."""
    return [
        (request.by, request.key)
        for request in stack.requests
        if request.method == "PUT" and request.key.startswith("features/") and request.key.endswith(".npy")
    ]


def images_of(stack, run, part):
    document = read_json(stack.store, f"runs/{folder_of(run)}/parts/{part}/images.json")
    return {image["image_id"] for image in document["images"]}


def folder_of(run):
    from ml.layout import safe_run_id

    return safe_run_id(run.run_id)


def test_each_task_runs_on_a_worker_of_its_queue_and_on_no_other(tries):
    hosts = {queue: {task["hostname"] for task in tries if task["queue"] == queue} for queue in ("default", "gpu")}

    assert {task["task_id"] for task in tries if task["queue"] == "gpu"} == ON_GPU
    assert {task["queue"] for task in tries} == {"default", "gpu"}
    assert hosts == {"default": {"default-1"}, "gpu": GPU}


def test_both_workers_take_parts_of_the_backlog(tries):
    assert {task["hostname"] for task in tries if task["task_id"] == "extract"} == GPU


def test_only_what_the_killed_worker_was_doing_is_tried_again(tries, kill):
    failed = [(task["task_id"], task["hostname"], task["try_number"]) for task in tries if task["state"] == "failed"]
    again = [(task["task_id"], task["hostname"]) for task in tries if task["try_number"] > 1]
    (survivor,) = GPU - {kill.victim}

    assert failed == [("extract", kill.victim, 1)]
    assert again == [("extract", survivor)]


def test_each_images_map_is_in_the_cache_exactly_once(stack, run, kill):
    held = Counter(image_id for ids in indices(stack).values() for image_id in ids)
    (prefix,) = {key.rpartition("/")[0] for key in indices(stack)}
    parts = {info.key.split("/")[3] for info in stack.store.list(f"runs/{folder_of(run)}/parts/")}

    assert set(held.values()) == {1}
    assert set(held) == set().union(*(images_of(stack, run, part) for part in parts))
    assert len(parts) >= 3
    assert kill.shard.startswith(prefix)


def test_only_the_shard_that_was_being_written_is_written_twice(stack, run, kill):
    """The request log of the store: what the killed worker had finished is not done again."""
    times = Counter(key for _, key in written(stack))
    (survivor,) = GPU - {kill.victim}

    assert set(times) == set(indices(stack))
    assert {key: count for key, count in times.items() if count != 1} == {kill.shard: 2}
    assert [by for by, key in written(stack) if key == kill.shard] == [kill.victim, survivor]


def test_what_is_repeated_is_less_than_one_part(stack, run, kill):
    """At the worst everything of the part but its finished shards went through the backbone twice."""
    finished = next(key for by, key in written(stack) if by == kill.victim and key != kill.shard)
    ids = indices(stack)
    (part,) = {
        info.key.split("/")[3]
        for info in stack.store.list(f"runs/{folder_of(run)}/parts/")
        if set(ids[finished]) <= images_of(stack, run, info.key.split("/")[3])
    }
    said = read_json(stack.store, f"runs/{folder_of(run)}/parts/{part}/extracted.json")

    assert said["narrow"]["images"] == len(images_of(stack, run, part)) - len(ids[finished])


def test_workers_share_no_folder_and_know_no_metadata_database(stack, run):
    environments = [stack.environments[name] for name in WORKERS]

    assert {environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] for environment in environments} == {
        "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"
    }
    for name in ("AIRFLOW_HOME", "TMPDIR", "QUARTET__STORE__CACHE_DIR"):
        assert len({environment[name] for environment in environments}) == len(WORKERS)
    assert not any("JWT_SECRET" in name for environment in environments for name in environment)
