import pytest
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from serving.server.labels import VersionLabels
from serving.server.status import Code, StatusError


def models(name="m", **labels):
    return [ModelConfig(name=name, version_labels=labels)]


def available(*versions):
    return lambda name, version: name == "m" and version in versions


def test_before_the_first_configuration_labels_are_unavailable():
    with pytest.raises(StatusError, match="does not init yet") as raised:
        VersionLabels().resolve("m", "stable")

    assert raised.value.code is Code.UNAVAILABLE


@pytest.mark.parametrize(("name", "label"), [("m", "canary"), ("n", "stable")])
def test_a_label_is_one_models(name, label):
    labels = VersionLabels()
    labels.replace(models(stable=1), available(1))

    assert labels.resolve("m", "stable") == 1
    with pytest.raises(StatusError, match=f"Unrecognized servable version label: {label}") as raised:
        labels.resolve(name, label)
    assert raised.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("allow", "before", "after", "accepted"),
    [
        (False, {}, {"stable": 1}, True),
        (False, {}, {"stable": 2}, False),
        (False, {"stable": 1}, {"stable": 2}, False),
        (True, {}, {"stable": 2}, True),
        (True, {"stable": 1}, {"stable": 2}, False),
        (True, {"stable": 1}, {"stable": 1, "canary": 2}, True),
        (True, {"canary": 2}, {"canary": 2, "stable": 1}, True),
    ],
    ids=[
        "loaded",
        "not loaded",
        "moved to one that is not loaded",
        "allowed: new",
        "allowed: moved to one that is not loaded",
        "allowed: new beside another",
        "allowed: unmoved while not loaded",
    ],
)
def test_a_label_stands_for_a_version_that_is_loaded_or_may_wait_for_it(allow, before, after, accepted):
    labels = VersionLabels(allow)
    labels.replace(models(**before), available(1))
    if accepted:
        labels.replace(models(**after), available(1))
    else:
        with pytest.raises(StatusError, match="assign label to version 2 of model m, which is not curr") as raised:
            labels.replace(models(**after), available(1))
        assert raised.value.code is Code.FAILED_PRECONDITION

    for label, version in (after if accepted else before).items():
        assert labels.resolve("m", label) == version


def test_one_refused_label_leaves_all_as_they_are():
    labels = VersionLabels()
    labels.replace(models(stable=1), available(1, 2))
    with pytest.raises(StatusError):
        labels.replace([*models(stable=2), *models("n", stable=1)], available(1, 2))

    assert labels.resolve("m", "stable") == 1


def test_a_label_that_is_absent_from_the_new_configuration_is_gone():
    labels = VersionLabels()
    labels.replace(models(stable=1, canary=2), available(1, 2))
    labels.replace(models(canary=2), available(1, 2))

    with pytest.raises(StatusError, match="Unrecognized"):
        labels.resolve("m", "stable")
