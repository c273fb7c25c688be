"""Tasks that are killed by SIGKILL under a real scheduler: Airflow tries them again, and all ends as if undisturbed."""

from __future__ import annotations

import hashlib
import re

import psutil
import pytest

from ml.layout import SUMS, model_prefix, run_prefix
from ml.promotions import load_changes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

#: What the clock says, and what names a run elsewhere.
VOLATILE = {"inputs", "latency_ms_p50", "latency_ms_p95", "mlflow_run_id", "seconds"}
DOCUMENTS = ("evaluation.json", "decision.json", "features.json")
OF_A_VARIANT = ("candidate.json", "metrics.json", "temperature.json")
BYTES = ("head.weights.h5", "history.parquet", "predictions.parquet")


def comparable(value, run_id):
    """A document without its run's name and without what the clock says."""
    if isinstance(value, dict):
        return {name: comparable(one, run_id) for name, one in value.items() if name not in VOLATILE}
    if isinstance(value, list):
        return [comparable(one, run_id) for one in value]
    return "this run" if value == run_id else value


def left_by(stack, run):
    """What a run left: documents, and digests of what it computed, by file."""
    variants = stack.run_json(run.run_id, "plan.json")["variants"]
    documents = [*DOCUMENTS, *(f"{variant}/{name}" for variant in variants for name in OF_A_VARIANT)]
    computed = ["samples.parquet", *(f"{variant}/{name}" for variant in variants for name in BYTES)]
    return {name: comparable(stack.run_json(run.run_id, name), run.run_id) for name in documents} | {
        name: hashlib.sha256(stack.store.get(run_prefix(run.run_id) + name)).hexdigest() for name in computed
    }


def keys_below(stack, prefix):
    return sorted(info.key.removeprefix(prefix) for info in stack.store.list(prefix))


def tries(stack, run):
    tasks = stack.api.task_instances(run.dag_id, run.run_id)
    return {(task.task_id, task.map_index): task.try_number for task in tasks if task.state == "success"}


def weights_of(stack, version):
    """Digests of a version's weights; what lies beside them names its graph anew, and the version, run and day."""
    lines = stack.store.get(f"{model_prefix('tiny', version)}{SUMS}").decode().splitlines()
    sums = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    return {path: digest for path, digest in sums.items() if path.startswith("variables/")}


def test_a_retrain_is_started_from_the_page_with_the_reason_on_record(demo_stack, killed):
    plan = demo_stack.run_json(killed.run_id, "plan.json")

    assert (plan["asked_by"], plan["reason"], plan["force"]) == ("admin", "to see it killed", True)


def test_airflow_tries_the_killed_training_again_and_it_goes_on_where_it_was(demo_stack, killed):
    repeated = {task: number for task, number in tries(demo_stack, killed).items() if number != 1}
    ((task_id, map_index),) = repeated
    said = demo_stack.task_log(killed, demo_stack.task(killed, task_id, map_index)).new_lines()

    assert (task_id, repeated[task_id, map_index]) == ("train", 2)
    assert any(re.match(r"Training goes on after epoch \d+$", line) for line in said)


def test_the_run_ends_as_one_that_nobody_disturbed(demo_stack, undisturbed, killed):
    assert left_by(demo_stack, killed) == left_by(demo_stack, undisturbed)


def test_nothing_half_done_is_left_of_it(demo_stack, undisturbed, killed):
    assert keys_below(demo_stack, run_prefix(killed.run_id)) == keys_below(demo_stack, run_prefix(undisturbed.run_id))
    assert list(demo_stack.layout.store.rglob("*.tmp")) == []


def test_airflow_tries_a_killed_publication_again(demo_stack, killed_promotion):
    repeated = {task: number for task, number in tries(demo_stack, killed_promotion).items() if number != 1}

    assert repeated == {("publish", -1): 2}


def test_what_it_publishes_is_whole_and_what_an_undisturbed_one_publishes(demo_stack, killed_promotion):
    prefix = model_prefix("tiny", 2)
    lines = demo_stack.store.get(f"{prefix}{SUMS}").decode().splitlines()
    sums = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}

    found = {path: hashlib.sha256(demo_stack.store.get(prefix + path)).hexdigest() for path in sums}
    assert found == sums
    assert set(keys_below(demo_stack, prefix)) == {*sums, SUMS}
    assert len(weights_of(demo_stack, 2)) == 2
    assert weights_of(demo_stack, 2) == weights_of(demo_stack, 1)


def test_the_killed_promotion_leaves_one_champion_and_neither_trial_nor_server(demo_stack, killed, killed_promotion):
    changes = load_changes(demo_stack.store, "tiny")
    servers = [one.info["cmdline"] for one in psutil.process_iter(["cmdline"]) if "serving.server" in _words(one)]

    assert [(one.action, one.version) for one in changes] == [("promote", 1), ("promote", 2)]
    assert (changes[-1].run_id, changes[-1].by) == (killed.run_id, "admin")
    assert "the tie is broken by a person" in changes[-1].reason
    assert (changes[-1].serving.stable, changes[-1].serving.canary) == (2, None)
    assert [command for command in servers if any("validation-" in word for word in command)] == []


def _words(process):
    return " ".join(process.info["cmdline"] or ())
