from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_serving.config import model_server_config_pb2

from ml.errors import DataError
from ml.serving_state import ServingState
from serving.served_config import ServedConfig, ServerView, format_config, parse_config, plan_config

PATH = Path("/models/models.config")
NOTHING = frozenset()


def config(versions=(), **labels):
    return ServedConfig(frozenset(versions), labels)


def plan(wanted, current, present, available, **labels):
    """The next step, when the server has made the last one true unless other labels are given."""
    server = ServerView(frozenset(available), labels or current.labels)
    return plan_config(ServingState(*wanted), current, frozenset(present), server)


def test_a_new_version_is_loaded_before_it_has_a_label():
    assert plan((1,), config(), {1}, NOTHING) == config({1})


def test_its_label_follows_once_it_is_available():
    assert plan((1,), config({1}), {1}, {1}) == config({1}, stable=1)


def test_a_label_stays_where_it_is_until_the_next_version_is_available():
    before = config({1, 2}, stable=1)

    assert plan((2, None, 1), before, {1, 2}, {1}) == before
    assert plan((2, None, 1), before, {1, 2}, {1, 2}) == config({1, 2}, stable=2)


def test_a_version_is_not_dropped_while_a_label_names_it():
    """The version before the last one, when the new stable one is not there yet."""
    assert plan((3, None, 2), config({1, 2}, stable=1), {1, 2, 3}, {1, 2}).versions == {1, 2, 3}


def test_a_canary_has_its_label_beside_the_stable_version():
    wanted = (1, 2)

    assert plan(wanted, config({1}, stable=1), {1, 2}, {1}) == config({1, 2}, stable=1)
    assert plan(wanted, config({1, 2}, stable=1), {1, 2}, {1, 2}) == config({1, 2}, stable=1, canary=2)


def test_a_withdrawn_canary_loses_its_label_and_then_goes():
    before, told = config({1, 2}, stable=1, canary=2), config({1, 2}, stable=1)

    assert plan((1,), before, {1, 2}, {1, 2}) == told
    assert plan((1,), told, {1, 2}, {1, 2}) == config({1}, stable=1)


def test_a_version_that_cannot_be_had_changes_nothing():
    before = config({1}, stable=1)

    assert plan((2, None, 1), before, {1}, {1}) == before


def test_a_server_that_does_not_answer_keeps_its_labels():
    wanted = ServingState(2, None, 1)

    assert plan_config(wanted, config({1}, stable=1), {1, 2}, None) == config({1, 2}, stable=1)


def test_a_rollback_to_a_loaded_version_moves_the_label_at_once_and_drops_the_other_when_the_server_has_followed():
    before = config({2, 3}, stable=3)
    moved = config({2, 3}, stable=2)

    assert plan((2, None, 1), before, {2, 3}, {2, 3}) == moved
    assert plan((2, None, 1), moved, {2, 3}, {2, 3}, stable=3) == moved
    assert plan((2, None, 1), moved, {2, 3}, {2, 3}) == config({2}, stable=2)


def test_a_version_that_is_about_to_go_gets_no_label_before_it_is_loaded_again():
    """It was left out of the last file, which the server may be reading now."""
    told = config({7, 8}, stable=8)

    assert plan((6,), told, {6, 7, 8}, {6, 7, 8}).labels == {"stable": 8}
    assert 6 in plan((6,), told, {6, 7, 8}, {6, 7, 8}).versions


def test_a_label_that_the_server_refused_is_set_back_to_what_it_has():
    """Else the file is refused for ever, and the version in it never loaded."""
    refused = config({6, 5}, stable=6)

    assert plan((6, None, 5), refused, {5, 6, 8}, {8}, stable=8) == config({5, 6, 8}, stable=8)


def test_the_file_is_what_tensorflow_serving_reads():
    written = format_config(config({3, 4}, stable=3, canary=4), 'a "name"', Path("/models/m"))

    parsed = text_format.Parse(written, model_server_config_pb2.ModelServerConfig())
    (entry,) = parsed.model_config_list.config
    assert (entry.name, entry.base_path, entry.model_platform) == ('a "name"', "/models/m", "tensorflow")
    assert list(entry.model_version_policy.specific.versions) == [3, 4]
    assert dict(entry.version_labels) == {"stable": 3, "canary": 4}


def test_without_versions_the_server_has_no_model():
    written = format_config(config(), "m", Path("/models/m"))

    parsed = text_format.Parse(written, model_server_config_pb2.ModelServerConfig())
    assert parsed.WhichOneof("config") == "model_config_list"
    assert not parsed.model_config_list.config


@pytest.mark.parametrize(
    "written", [config(), config({1}), config({1, 22}, stable=22), config({1, 2, 3}, stable=2, canary=3)]
)
def test_what_was_written_is_read(written):
    assert parse_config(format_config(written, "m", Path("/models/m")), PATH) == written


def test_what_somebody_else_wrote_is_refused():
    with pytest.raises(DataError, match=r"models\.config is not as the sync writes it"):
        parse_config("model_config_list { config { name: 'm' } }", PATH)


class Server:
    """TensorFlow Serving's rules, and its lag: files are read now and then, versions load and go later.

    A label needs an available version, or the whole file is refused. A version is unloaded only when one that is wanted
    is there.
    """

    def __init__(self):
        self.labels, self.loaded, self.wanted = {}, set(), set()

    def read(self, told):
        if all(version in self.loaded for version in told.labels.values()):
            self.labels, self.wanted = dict(told.labels), set(told.versions)

    def act(self, broken):
        """Load what is wanted and let go what is not."""
        self.loaded |= self.wanted - broken
        if self.loaded & self.wanted or not self.wanted:
            self.loaded &= self.wanted

    def look(self):
        return ServerView(
            frozenset(self.loaded), {label: one for label, one in self.labels.items() if one in self.loaded}
        )


STATES = st.builds(
    lambda stable, ahead, behind: ServingState(
        stable, stable + ahead if ahead else None, stable - behind if behind and stable > behind else None
    ),
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(0, 2),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(STATES, min_size=1, max_size=6), st.sets(st.integers(2, 9), max_size=3), st.data())
def test_whatever_is_wanted_the_stable_label_always_answers_and_the_server_gets_there(states, broken, data):
    """Versions may be broken, missing for a while, slow to load, and files unread; version 1 is whole."""
    server, told, present = Server(), config(), {1}

    def look(wanted):
        nonlocal told
        told = plan_config(wanted, told, frozenset(present), server.look())

    for _ in range(3):
        look(ServingState(stable=1))
        server.read(told)
        server.act(broken)
    for wanted in states:
        for _ in range(data.draw(st.integers(0, 4), label=f"looks at {wanted}")):
            present |= {version for version in wanted.versions if data.draw(st.booleans())}
            look(wanted)
            if data.draw(st.booleans(), label="read"):
                server.read(told)
            if data.draw(st.booleans(), label="act"):
                server.act(broken)
            assert server.labels["stable"] in server.loaded
    present |= wanted.versions
    for _ in range(6):
        look(wanted)
        server.read(told)
        server.act(broken)
        assert server.labels["stable"] in server.loaded
    if wanted.stable not in broken:
        assert server.labels["stable"] == wanted.stable
        assert server.loaded == wanted.versions - broken
    if wanted.canary is not None and wanted.canary not in broken:
        assert server.labels["canary"] == wanted.canary
