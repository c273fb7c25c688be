"""Which versions serve, with models that are only names."""

import gc
import logging
import threading
import time
import weakref
from dataclasses import dataclass, field

import pytest

from model_servers import wait_until
from serving.server.policies import all_versions, latest, specific
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


def test_the_highest_version_loads_first_and_the_others_are_seen_to_wait(make_manager, tmp_path, loader):
    add(tmp_path, 1, 2, 3)
    seen = []
    manager = make_manager(policy=all_versions)

    def load(folder, version):
        seen.append(states(manager))
        return loader(folder, version)

    manager._load = load

    manager.poll()

    assert loader.asked == [3, 2, 1]
    assert seen[0] == [(3, "LOADING", "OK"), (2, "START", "OK"), (1, "START", "OK")]


def test_a_version_that_shall_go_goes_before_the_new_one_loads_when_another_stays(make_manager, tmp_path, loader):
    add(tmp_path, 1, 2)
    manager = make_manager(policy=latest(2))
    manager.poll()
    add(tmp_path, 3)
    loader.serving_meanwhile.clear()
    manager.poll()

    assert states(manager) == [(3, "AVAILABLE", "OK"), (2, "AVAILABLE", "OK"), (1, "END", "OK")]
    assert loader.serving_meanwhile == [2]


def test_what_shall_serve_can_be_changed(make_manager, tmp_path):
    add(tmp_path, 1, 2)
    manager = make_manager()
    manager.poll()
    manager.serve(tmp_path, specific([1]))
    manager.poll()

    assert serving(manager) == 1
    assert states(manager) == [(2, "END", "OK"), (1, "AVAILABLE", "OK")]


def test_a_model_that_is_retired_serves_nothing_and_its_states_stay(make_manager, tmp_path):
    add(tmp_path, 1)
    manager = make_manager()
    manager.poll()
    manager.retire()
    manager.poll()

    assert manager.is_retired
    assert not manager.is_ready
    assert manager.outcome() is None
    assert states(manager) == [(1, "END", "OK")]


def test_a_version_that_failed_has_another_chance_when_its_model_comes_back(make_manager, tmp_path, loader):
    loader.broken[1] = ValueError("bad")
    add(tmp_path, 1)
    manager = make_manager()
    manager.poll()
    loader.broken.clear()
    manager.retire()
    manager.serve(tmp_path, latest())
    manager.poll()

    assert serving(manager) == 1


def test_a_load_that_fails_for_a_configuration_of_before_does_not_count(make_manager, tmp_path, loader):
    """The model is dropped and comes back while its version is still loading."""
    add(tmp_path, 1)
    manager = make_manager()

    def load(folder, version):
        manager._load = loader
        manager.retire()
        manager.serve(tmp_path, latest())
        raise ValueError("bad")

    manager._load = load
    manager.poll()
    assert manager.outcome() is None
    manager.poll()

    assert serving(manager) == 1


def test_a_change_ends_the_loads_that_have_not_begun(make_manager, tmp_path, loader):
    add(tmp_path, 1, 2, 3)
    manager = make_manager(policy=all_versions)

    def load(folder, version):
        manager.serve(tmp_path, specific([1]))
        return loader(folder, version)

    manager._load = load
    manager.poll()
    assert loader.asked == [3]
    manager.poll()

    assert loader.asked == [3, 1]
    assert [state for state in states(manager) if state[1] == "AVAILABLE"] == [(1, "AVAILABLE", "OK")]


def run_for(manager, interval, act):
    stop = threading.Event()
    thread = threading.Thread(target=lambda: manager.run(stop, interval))
    thread.start()
    try:
        act()
    finally:
        stop.set()
        manager.wake()
        thread.join(10)
    assert not thread.is_alive()


def test_a_change_is_acted_on_at_once_whatever_the_interval(make_manager, tmp_path):
    add(tmp_path, 1, 2)
    manager = make_manager()

    def act():
        wait_until(lambda: manager.is_available(2))
        manager.serve(tmp_path, specific([1]))
        wait_until(lambda: manager.is_available(1))

    run_for(manager, 3600.0, act)


def test_an_interval_of_0_polls_once_and_for_loads_to_be_repeated(make_manager, tmp_path, loader):
    loader.broken[1] = ValueError("bad")
    add(tmp_path, 1)
    manager = make_manager(retries=1, interval=0.2)

    def act():
        wait_until(lambda: loader.asked == [1, 1])
        add(tmp_path, 2)
        time.sleep(0.2)

    run_for(manager, 0.0, act)

    assert loader.asked == [1, 1]


def test_an_interval_below_0_polls_for_changes_only(make_manager, tmp_path, loader):
    add(tmp_path, 1)
    manager = make_manager()

    def act():
        time.sleep(0.1)
        assert loader.asked == []
        manager.serve(tmp_path, latest())
        wait_until(lambda: manager.is_available(1))

    run_for(manager, -1.0, act)


def test_models_that_share_a_slot_load_one_after_the_other(tmp_path):
    slot, loading, most = threading.BoundedSemaphore(1), [], []

    def load(folder, version):
        loading.append(folder)
        time.sleep(0.05)
        most.append(len(loading))
        loading.remove(folder)
        return Model(version)

    managers = []
    for name in "abc":
        (tmp_path / name / "1").mkdir(parents=True)
        managers.append(VersionManager(name, tmp_path / name, load, load_slot=slot))
    threads = [threading.Thread(target=manager.poll) for manager in managers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(manager.is_ready for manager in managers)
    assert most == [1, 1, 1]
