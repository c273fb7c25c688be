"""Configurations one after the other, with models that are only names."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from model_configs import config, model, specific
from model_servers import wait_until
from serving.server.catalog import ModelCatalog
from serving.server.reload import ConfigReloader
from serving.server.status import Code, StatusError
from serving.server.versions import RetryRule, VersionManager

pytestmark = pytest.mark.server


class Model:
    def __init__(self, version):
        self.version = version


def load(folder, version):
    if (folder / "broken").exists():
        raise StatusError(Code.DATA_LOSS, "torn")
    return Model(version)


class Server:
    """A catalog and its reloader; versions are loaded when a test says so."""

    def __init__(self):
        self.catalog = ModelCatalog()
        self.reloader = ConfigReloader(self.catalog, self.start)

    def start(self, name, base_path, policy):
        return VersionManager(name, base_path, load, policy, RetryRule(0))

    def poll(self):
        for manager in self.catalog.managers:
            manager.poll()

    def apply(self, *models):
        new = self.reloader.apply(parse(*models))
        self.poll()
        return [manager.name for manager in new]

    def serving(self, name="m"):
        return self.catalog.find(name).version


def parse(*models):
    return text_format.Parse(config(*models), ModelServerConfig())


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def base(tmp_path):
    for name in ("m/1", "m/2", "n/3", "b/5"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b/5/broken").touch()
    return tmp_path


def test_models_are_added_changed_and_dropped(server, base):
    assert server.apply(model(base / "m", specific(1))) == ["m"]
    assert server.serving() == 1
    assert server.apply(model(base / "m", specific(2)), model(base / "n", name="n")) == ["n"]
    assert (server.serving(), server.serving("n")) == (2, 3)
    assert server.apply(model(base / "m")) == []

    with pytest.raises(StatusError, match=r"Servable not found for request: Latest\(n\)"):
        server.serving("n")
    assert server.serving() == 2


def test_a_model_that_was_dropped_is_new_when_it_comes_back(server, base):
    server.apply(model(base / "n", name="n"))
    server.apply()

    assert server.apply(model(base / "n", name="n")) == ["n"]
    assert server.serving("n") == 3


def test_an_unset_configuration_changes_nothing(server, base):
    server.apply(model(base / "m"))

    assert server.reloader.apply(ModelServerConfig()) == []
    server.poll()
    assert server.serving() == 2


def test_the_given_message_is_not_kept(server, base):
    message = parse(model(base / "m"))
    server.reloader.apply(message)
    message.model_config_list.config[0].model_platform = "x"

    assert server.apply(model(base / "m")) == []


def test_a_reload_ends_with_the_reason_when_a_new_model_fails(server, base):
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(server.reloader.reload, parse(model(base / "b", name="b")), lambda: False)
        wait_until(lambda: bool(server.catalog.managers))
        assert not call.done()
        server.poll()
        with pytest.raises(StatusError) as raised:
            call.result(10)

    assert raised.value.code is Code.UNKNOWN
    assert raised.value.message == (
        "1 model(s) did not become available: {{{name: b version: 5} due to error: DATA_LOSS: torn}, }"
    )


def test_a_reload_ends_when_its_caller_gives_up(server, base):
    given_up = threading.Event()
    given_up.set()

    with pytest.raises(StatusError) as raised:
        server.reloader.reload(parse(model(base / "m")), given_up.is_set)

    assert raised.value.code is Code.CANCELLED
    server.poll()
    assert server.serving() == 2


def test_following_a_file_survives_what_should_not_happen(server, base, tmp_path, monkeypatch, caplog):
    path, stop = tmp_path / "models.config", threading.Event()
    path.write_text(config(model(base / "m")))
    real = server.reloader.apply
    calls = []

    def apply(message):
        calls.append(message)
        if len(calls) == 1:
            raise RuntimeError("surprise")
        return real(message)

    monkeypatch.setattr(server.reloader, "apply", apply)
    thread = threading.Thread(target=lambda: server.reloader.follow(path, stop, 0.01))
    with caplog.at_level(logging.ERROR):
        thread.start()
        wait_until(lambda: server.catalog.manager("m") is not None)
        stop.set()
        thread.join(10)

    assert "surprise" in caplog.text


def test_a_file_that_changes_nothing_does_not_wake_the_models(server, base, tmp_path, monkeypatch):
    path, stop = tmp_path / "models.config", threading.Event()
    path.write_text(config(model(base / "m")))
    server.apply(model(base / "m"))
    woken = []
    monkeypatch.setattr(server.catalog.manager("m"), "wake", lambda: woken.append(True))
    thread = threading.Thread(target=lambda: server.reloader.follow(path, stop, 0.005))
    thread.start()
    time.sleep(0.1)
    stop.set()
    thread.join(10)

    assert woken == []
