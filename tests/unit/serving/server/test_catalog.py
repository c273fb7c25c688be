import pytest
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from serving.server.catalog import ModelCatalog
from serving.server.policies import all_versions
from serving.server.status import Code, StatusError
from serving.server.versions import VersionManager


class Model:
    def __init__(self, version):
        self.version = version


@pytest.fixture
def catalog(tmp_path):
    """Model m with versions 1 and 2, of which 1 is ``stable``; version 3 is labelled and not there."""
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    manager = VersionManager("m", tmp_path, lambda folder, version: Model(version), all_versions)
    manager.poll()
    catalog = ModelCatalog([manager])
    labels = {"stable": 1, "next": 3}
    catalog.labels.replace([ModelConfig(name="m", version_labels=labels)], lambda name, version: True)
    return catalog


@pytest.mark.parametrize(
    ("choice", "version"), [({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1)], ids=["none", "number", "label"]
)
def test_a_model_is_found(catalog, choice, version):
    assert catalog.find("m", **choice).version == version


@pytest.mark.parametrize(
    ("name", "choice", "code", "text"),
    [
        ("n", {}, Code.NOT_FOUND, "Servable not found for request: Latest(n)"),
        ("n", {"version": 7}, Code.NOT_FOUND, "Servable not found for request: Specific(n, 7)"),
        ("m", {"version": 7}, Code.NOT_FOUND, "Servable not found for request: Specific(m, 7)"),
        ("m", {"label": "next"}, Code.NOT_FOUND, "Servable not found for request: Specific(m, 3)"),
        ("m", {"label": "x"}, Code.INVALID_ARGUMENT, "Unrecognized servable version label: x"),
        ("n", {"label": "stable"}, Code.INVALID_ARGUMENT, "Unrecognized servable version label: stable"),
    ],
)
def test_what_is_not_there_is_an_error(catalog, name, choice, code, text):
    with pytest.raises(StatusError) as raised:
        catalog.find(name, **choice)

    assert (raised.value.code, raised.value.message) == (code, text)


@pytest.mark.parametrize(
    ("name", "version", "what"), [("n", None, "any versions"), ("n", 7, "version 7"), ("m", 7, "version 7")]
)
def test_states_of_what_is_not_there_are_not_found(catalog, name, version, what):
    with pytest.raises(StatusError, match=f"Could not find {what} of model {name}"):
        catalog.states(name, version)


@pytest.mark.parametrize(("name", "version", "available"), [("m", 1, True), ("m", 3, False), ("n", 1, False)])
def test_a_version_is_available_while_it_is_loaded(catalog, name, version, available):
    assert catalog.is_available(name, version) is available
