from __future__ import annotations

import pytest

from demo_run import stack_environment


@pytest.fixture(scope="module")
def environ():
    return stack_environment()
