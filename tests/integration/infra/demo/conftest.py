"""One demo, and one stack over what it left."""

from __future__ import annotations

import pytest

from demo_stack import make_root, run_demo, running_stack, stack_environment
from ml.phantom import draw_phantoms


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
