from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from ml.templating import make_environment


def test_texts_are_escaped():
    assert make_environment({}).from_string("{{ name }}").render(name="<b>") == "&lt;b&gt;"


def test_an_unknown_name_fails():
    with pytest.raises(UndefinedError, match="'nobody' is undefined"):
        make_environment({}).from_string("{{ nobody }}").render()


def test_filters_go_beside_jinjas_own():
    template = make_environment({"twice": lambda text: text * 2}).from_string("{{ 'a' | twice | upper }}")

    assert template.render() == "AA"
