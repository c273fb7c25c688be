"""One demo, one stack over what it left, one browser; and what people do there, one after the other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_browser import open_browser, open_dialog, open_models, send, sign_in
from demo_run import make_root, run_demo, stack_environment
from demo_stack import running_stack
from infra.local.credentials import ADMIN, VIEWER
from ml.layout import run_key
from ml.phantom import draw_phantoms

#: Screenshots are kept in the folder that it names, else among pytest's own temporary ones.
ARTEFACTS = "QUARTET_TEST_ARTEFACTS"


@pytest.fixture(scope="package")
def environ():
    return stack_environment()


@pytest.fixture(scope="package")
def root(tmp_path_factory):
    return make_root(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="package")
def data(tmp_path_factory):
    return draw_phantoms(tmp_path_factory.mktemp("images"), 10)


@pytest.fixture(scope="package")
def first(root, data, environ):
    """The demo, which starts a stack and stops it again."""
    demo = run_demo(root, data.folder, environ)
    assert demo.status == 0, demo.output + demo.errors
    return demo


@pytest.fixture(scope="package")
def demo_stack(first, root, environ):
    """A stack over what the demo left, with its history."""
    with running_stack(root, environ) as running:
        yield running


@pytest.fixture(scope="package")
def second(demo_stack, root, data, environ):
    """The demo once more, on the stack that runs: nobody disturbed its run of `retrain`."""
    demo = run_demo(root, data.folder, environ)
    assert demo.status == 0, demo.output + demo.errors
    return demo


@pytest.fixture(scope="package")
def undisturbed(demo_stack, second):
    """That run."""
    return demo_stack.newest_run("retrain")


@pytest.fixture(scope="package")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="package")
def admin(browser, demo_stack):
    """A page of Airflow, signed in as the administrator."""
    return sign_in(browser, demo_stack.url, ADMIN, demo_stack.password(ADMIN))


@pytest.fixture(scope="package")
def viewer(browser, demo_stack):
    """A page of Airflow, signed in as somebody who may only look."""
    return sign_in(browser, demo_stack.url, VIEWER, demo_stack.password(VIEWER))


@pytest.fixture(scope="package")
def killed(demo_stack, undisturbed, admin):
    """A run like the undisturbed one, started from the Models page, whose winner's training was killed half way."""
    page = open_models(admin)
    dialog = open_dialog(page, "Retrain", "to see it killed")
    dialog.get_by_label("Train even if nothing has changed").check()
    run = demo_stack.api.dag_run("retrain", send(page, dialog))
    winner = demo_stack.run_json(undisturbed.run_id, "decision.json")["variant"]
    place = demo_stack.run_json(undisturbed.run_id, "plan.json")["variants"].index(winner)
    checkpoint = run_key(run.run_id, winner, "checkpoint.npz")
    demo_stack.kill_task(run, "train", place, when=lambda _: demo_stack.store.head(checkpoint) is not None)
    return demo_stack.finish(run)


@pytest.fixture(scope="package")
def killed_promotion(demo_stack, killed, admin):
    """That run's winner, promoted from the Models page against the gate, killed while a fresh server was asked."""
    page = open_models(admin)
    dialog = open_dialog(page, "Promote", "the tie is broken by a person")
    dialog.get_by_label("Winner of run").select_option(killed.run_id)
    dialog.get_by_label("Also against the gate").check()
    run = demo_stack.api.dag_run("promote", send(page, dialog))
    demo_stack.kill_task(run, "publish", when=lambda process: process.children(recursive=True))
    return demo_stack.finish(run)


@pytest.fixture(scope="package")
def artefacts(tmp_path_factory):
    """Where screenshots are kept."""
    folder = Path(os.environ.get(ARTEFACTS) or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
