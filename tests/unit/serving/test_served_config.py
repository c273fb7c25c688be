from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.config import model_server_config_pb2

from ml.errors import DataError
from ml.serving_state import ServingState
from serving.served_config import ServedConfig, format_config, parse_config, plan_config

PATH = Path("/models/models.config")
NOTHING = frozenset()


def config(versions=(), **labels):
    return ServedConfig(frozenset(versions), labels)


def plan(wanted, current, present, available):
    return plan_config(ServingState(*wanted), current, frozenset(present), frozenset(available))


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


def test_a_withdrawn_canary_goes_at_once():
    assert plan((1,), config({1, 2}, stable=1, canary=2), {1, 2}, {1, 2}) == config({1}, stable=1)


def test_a_version_that_cannot_be_had_changes_nothing():
    before = config({1}, stable=1)

    assert plan((2, None, 1), before, {1}, {1}) == before


def test_a_server_that_does_not_say_what_it_has_keeps_its_labels():
    assert plan((2, None, 1), config({1}, stable=1), {1, 2}, NOTHING) == config({1, 2}, stable=1)


def test_a_rollback_to_a_loaded_version_takes_one_step():
    before = config({2, 3}, stable=3)

    assert plan((2, None, 1), before, {2, 3}, {2, 3}) == config({2}, stable=2)


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
    """TensorFlow Serving's rules on reloads: a label needs an available version, and the old goes after the new."""

    def __init__(self):
        self.labels, self.loaded, self.loading = {}, set(), set()

    def reload(self, told):
        for label, version in told.labels.items():
            assert version in self.loaded, f"{label} is given to version {version}, which is not available"
        self.labels = dict(told.labels)
        self.loading = set(told.versions) - self.loaded
        assert not self.loaded or not self.labels or self.loaded & set(told.versions), "everything would go"
        self.loaded &= set(told.versions)

    def load(self, broken):
        self.loaded |= self.loading - broken


STATES = st.builds(
    lambda stable, ahead, behind: ServingState(
        stable, stable + ahead if ahead else None, stable - behind if behind and stable > behind else None
    ),
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(0, 2),
)


@given(st.lists(STATES, min_size=1, max_size=6), st.sets(st.integers(2, 9), max_size=3), st.data())
def test_whatever_is_wanted_the_stable_label_never_misses_and_the_server_gets_there(states, broken, data):
    """Versions may be broken, missing on disk for a while, and slow to load; the first stable one is neither."""
    server, told, present = Server(), config(), set()
    first = ServingState(stable=1)
    for wanted in [first, *states]:
        steps = data.draw(st.integers(0, 4), label=f"looks at {wanted}")
        for _ in range(steps if wanted is not first else 4):
            present |= {version for version in wanted.versions if version == 1 or data.draw(st.booleans())}
            told = plan_config(wanted, told, frozenset(present), frozenset(server.loaded))
            server.reload(told)
            assert "stable" in server.labels or wanted is first
            if data.draw(st.booleans()) or wanted is first:
                server.load(broken)
            present &= set(told.versions) | server.loaded
    present |= wanted.versions
    for _ in range(4):
        told = plan_config(wanted, told, frozenset(present), frozenset(server.loaded))
        server.reload(told)
        server.load(broken)
    if wanted.stable not in broken:
        assert server.labels["stable"] == wanted.stable
        assert server.loaded == wanted.versions - broken
    if wanted.canary is not None and wanted.canary not in broken:
        assert server.labels["canary"] == wanted.canary
