"""Which versions serve, with models that are only names."""

import gc
import logging
import threading
import weakref
from dataclasses import dataclass, field

import pytest

from serving.server.policies import all_versions, latest
from serving.server.status import Code, StatusError
from serving.server.versions import RetryRule, State, VersionManager


class Model:
    def __init__(self, version):
        self.version = version
        self.cycle = self  # as restored graphs have


@dataclass
class Loader:
    """Loads anything but the broken versions, and notes what it was asked for and what served then."""

    broken: dict[int, Exception] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    serving_meanwhile: list[int | None] = field(default_factory=list)
    manager: VersionManager | None = None

    def __call__(self, folder, version):
        self.asked.append(version)
        self.serving_meanwhile.append(serving(self.manager))
        if version in self.broken:
            raise self.broken[version]
        return Model(version)


def serving(manager):
    return manager.model().version if manager.is_ready else None


@pytest.fixture(autouse=True)
def thaw():
    yield
    gc.unfreeze()


@pytest.fixture
def loader():
    return Loader()


@pytest.fixture
def make_manager(tmp_path, loader):
    def make(retries=0, interval=0.0, **options):
        manager = VersionManager("m", tmp_path, loader, retry=RetryRule(retries, interval), **options)
        loader.manager = manager
        return manager

    return make


def add(tmp_path, *versions):
    for version in versions:
        (tmp_path / str(version)).mkdir()


def states(manager):
    return [(state.version, state.state.name, state.code.name) for state in manager.states()]


def test_the_newest_version_serves(make_manager, tmp_path, loader):
    add(tmp_path, 1, 2, 10)
    manager = make_manager()

    manager.poll()

    assert serving(manager) == 10
    assert loader.asked == [10]
    assert states(manager) == [(10, "AVAILABLE", "OK")]


def test_the_old_version_serves_while_the_new_one_loads_and_is_unloaded_then(make_manager, tmp_path, loader):
    manager = make_manager()
    add(tmp_path, 1)
    manager.poll()
    add(tmp_path, 2)
    manager.poll()

    assert loader.serving_meanwhile == [None, 1]
    assert serving(manager) == 2
    with pytest.raises(StatusError, match=r"Servable not found for request: Specific\(m, 1\)"):
        manager.model(1)


def test_ended_versions_stay_listed_from_the_highest_to_the_lowest(make_manager, tmp_path):
    manager = make_manager()
    for version in (1, 2, 3):
        add(tmp_path, version)
        manager.poll()

    assert states(manager) == [(3, "AVAILABLE", "OK"), (2, "END", "OK"), (1, "END", "OK")]


def test_a_version_that_fails_ends_with_the_error_and_the_old_one_serves_on(make_manager, tmp_path, loader, caplog):
    loader.broken[2] = StatusError(Code.DATA_LOSS, "torn")
    manager = make_manager()
    add(tmp_path, 1)
    manager.poll()
    add(tmp_path, 2)
    with caplog.at_level(logging.ERROR):
        manager.poll()

    assert serving(manager) == 1
    assert states(manager) == [(2, "END", "DATA_LOSS"), (1, "AVAILABLE", "OK")]
    assert manager.states(2)[0].message == "torn"
    assert "version 2 of m cannot be loaded" in caplog.text


def test_a_version_that_failed_is_not_tried_again_while_it_stays(make_manager, tmp_path, loader):
    loader.broken[1] = ValueError("bad")
    manager = make_manager()
    add(tmp_path, 1)
    for _ in range(3):
        manager.poll()
    loader.broken.clear()
    manager.poll()

    assert loader.asked == [1]
    assert manager.outcome() == manager.states(1)[0]


def test_a_version_that_failed_is_tried_again_after_it_was_gone_for_a_poll(make_manager, tmp_path, loader):
    loader.broken[1] = ValueError("bad")
    manager = make_manager()
    add(tmp_path, 1)
    manager.poll()
    (tmp_path / "1").rename(tmp_path / "aside")
    manager.poll()
    loader.broken.clear()
    (tmp_path / "aside").rename(tmp_path / "1")
    manager.poll()

    assert serving(manager) == 1
    assert manager.outcome() == manager.states(1)[0]
    assert manager.is_available(1)


def test_a_failed_load_is_repeated_as_often_as_the_rule_says(make_manager, tmp_path, loader):
    loader.broken[1] = ValueError("bad")
    manager = make_manager(retries=2)
    add(tmp_path, 1)

    manager.poll()
    assert states(manager) == [(1, "LOADING", "OK")]
    for _ in range(5):
        manager.poll()

    assert loader.asked == [1, 1, 1]
    assert states(manager) == [(1, "END", "UNKNOWN")]
    assert manager.states()[0].message == "ValueError: bad"


def test_a_retry_waits_for_its_time_and_a_higher_version_does_not_wait_for_it(make_manager, tmp_path, loader):
    loader.broken[1] = ValueError("bad")
    manager = make_manager(retries=5, interval=3600.0)
    add(tmp_path, 1)
    manager.poll()
    manager.poll()
    add(tmp_path, 2)
    manager.poll()

    assert loader.asked == [1, 2]
    assert serving(manager) == 2


def test_a_base_path_that_is_missing_changes_nothing(make_manager, tmp_path, caplog):
    manager = make_manager()
    add(tmp_path, 1)
    manager.poll()
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    with caplog.at_level(logging.WARNING):
        manager.poll()
        manager.poll()

    assert serving(manager) == 1
    assert caplog.text.count("what is loaded stays") == 1


def test_a_base_path_without_versions_unloads_everything(make_manager, tmp_path):
    manager = make_manager()
    add(tmp_path, 1)
    manager.poll()
    (tmp_path / "1").rename(tmp_path / "aside")
    manager.poll()

    assert not manager.is_ready
    assert states(manager) == [(1, "END", "OK")]
    with pytest.raises(StatusError, match=r"Servable not found for request: Latest\(m\)"):
        manager.model()


def test_removing_the_served_version_brings_back_the_next_lower_one(make_manager, tmp_path, loader):
    manager = make_manager()
    add(tmp_path, 1)
    manager.poll()
    add(tmp_path, 2)
    manager.poll()
    (tmp_path / "2").rmdir()
    manager.poll()

    assert serving(manager) == 1
    assert states(manager) == [(2, "END", "OK"), (1, "AVAILABLE", "OK")]
    assert loader.serving_meanwhile == [None, 1, 2]


def test_replacing_the_files_of_a_loaded_version_does_nothing(make_manager, tmp_path, loader):
    manager = make_manager()
    add(tmp_path, 1)
    manager.poll()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"other")
    manager.poll()

    assert loader.asked == [1]


def test_a_policy_may_keep_several_versions(make_manager, tmp_path):
    add(tmp_path, 1, 2, 3)
    manager = make_manager(policy=latest(2))
    manager.poll()

    assert manager.model(2).version == 2
    assert serving(manager) == 3


def test_a_request_keeps_its_model_while_that_is_unloaded(make_manager, tmp_path):
    manager = make_manager()
    add(tmp_path, 1)
    manager.poll()
    held = manager.model()
    add(tmp_path, 2)
    manager.poll()

    assert held.version == 1
    assert serving(manager) == 2


def test_the_memory_of_an_unloaded_version_is_freed(make_manager, tmp_path):
    manager = make_manager()
    add(tmp_path, 1)
    manager.poll()
    old = weakref.ref(manager.model())
    add(tmp_path, 2)
    manager.poll()

    assert old() is None


def test_unknown_versions_have_no_status(make_manager):
    manager = make_manager()

    with pytest.raises(StatusError, match="Could not find any versions of model m"):
        manager.states()
    with pytest.raises(StatusError, match="Could not find version 7 of model m"):
        manager.states(7)


def test_polling_survives_what_should_not_happen(make_manager, tmp_path, caplog):
    stop = threading.Event()
    polls = []

    def policy(base_path):
        polls.append(base_path)
        if len(polls) == 1:
            raise RuntimeError("surprise")
        stop.set()
        return all_versions(base_path)

    add(tmp_path, 1)
    manager = make_manager(policy=policy)
    with caplog.at_level(logging.ERROR):
        manager.run(stop, 0.01)

    assert serving(manager) == 1
    assert "surprise" in caplog.text


def test_states_have_the_protocols_numbers():
    assert [state.value for state in State] == [0, 10, 20, 30, 40, 50]
