from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from ml.errors import ServingError
from model_configs import config, model, specific
from serving.server.model_config import (
    check_first_config,
    check_platforms,
    check_transition,
    first_config,
    local_path,
    read_model_config,
)
from serving.server.options import ServerOptions
from serving.server.status import Code, StatusError

EMPTY = ModelServerConfig()


def parse(text):
    return text_format.Parse(text, ModelServerConfig())


def test_a_file_is_read(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(f"# two models\n{config(model('/a', specific(1, 2), stable=1), model('/b', name='n'))}")

    models = read_model_config(path).model_config_list.config

    assert [(entry.name, entry.base_path) for entry in models] == [("m", "/a"), ("n", "/b")]
    assert list(models[0].model_version_policy.specific.versions) == [1, 2]
    assert dict(models[0].version_labels) == {"stable": 1}


@pytest.mark.parametrize(("text", "kind"), [("", None), ("model_config_list {}", "model_config_list")])
def test_an_empty_file_is_no_configuration_and_an_empty_list_is_one(tmp_path, text, kind):
    (tmp_path / "c").write_text(text)

    assert read_model_config(tmp_path / "c").WhichOneof("config") == kind


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, Code.NOT_FOUND), (b"model_config_list {", Code.INVALID_ARGUMENT), (b"\xff\xfe", Code.INVALID_ARGUMENT)],
    ids=["missing", "cut short", "no text"],
)
def test_what_is_no_configuration_is_an_error_with_the_path(tmp_path, content, code):
    path = tmp_path / "models.config"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(StatusError, match=str(path)) as raised:
        read_model_config(path)

    assert raised.value.code is code


def test_one_model_by_flags_is_a_configuration_of_one_model():
    entry = first_config(ServerOptions("m", Path("/a"))).model_config_list.config[0]

    assert (entry.name, entry.base_path, entry.model_platform) == ("m", "/a", "tensorflow")


def test_a_relative_base_path_by_flags_is_taken_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert first_config(ServerOptions("m", Path("a"))).model_config_list.config[0].base_path == str(tmp_path / "a")


@pytest.mark.parametrize(
    "text", ["model_config_list {", config(model("a")), config(model("/a", platform="x"))], ids=["cut", "path", "other"]
)
def test_a_first_configuration_that_cannot_work_is_found_early(tmp_path, text):
    path = tmp_path / "models.config"
    path.write_text(text)

    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: .*Remedy: Mend --model_config_file"):
        check_first_config(ServerOptions(model_config_file=path))


def test_an_empty_first_configuration_is_fine(tmp_path):
    for text in ("", "model_config_list {}"):
        (tmp_path / "c").write_text(text)
        check_first_config(ServerOptions(model_config_file=tmp_path / "c"))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (config(), 'custom_model_config { type_url: "x" }', Code.FAILED_PRECONDITION),
        ("", 'custom_model_config { type_url: "x" }', Code.UNIMPLEMENTED),
        ("", config(model("/a"), model("/b")), Code.INVALID_ARGUMENT),
        ("", config(model("a")), Code.INVALID_ARGUMENT),
        ("", config(model("")), Code.INVALID_ARGUMENT),
        ("", config(model("s3://a/b")), Code.UNIMPLEMENTED),
        (config(model("/a")), config(model("/a", platform="x")), Code.INVALID_ARGUMENT),
        (config(model("/a", platform="x")), config(model("/a")), Code.INVALID_ARGUMENT),
    ],
    ids=["list to custom", "custom", "name twice", "relative", "no path", "remote", "platform", "platform back"],
)
def test_a_transition_that_is_not_allowed_is_refused(old, new, code):
    with pytest.raises(StatusError) as raised:
        check_transition(parse(old), parse(new))

    assert raised.value.code is code


@pytest.mark.parametrize("old", ["", config(), config(model("/b"))], ids=["first", "empty before", "other path before"])
def test_a_list_may_follow_a_list(old):
    check_transition(parse(old), parse(config(model("/a"), model("file:///b", name="n"))))


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (model("/a", platform="caffe2"), "Model m requests unsupported platform caffe2"),
        (model("/a", platform=None), "Illegal setting neither"),
        (model("/a").replace("name:", "model_type: TENSORFLOW name:"), "Illegal setting both"),
        (model("/a", platform=None).replace("name:", "model_type: OTHER name:"), "model_type choice 2 not supported"),
    ],
    ids=["unknown", "neither field", "both fields", "unknown in the old field"],
)
def test_a_platform_other_than_tensorflow_is_refused(entry, text):
    with pytest.raises(StatusError, match=text):
        check_platforms(parse(config(entry)))


def test_tensorflow_is_a_platform_in_the_old_field_too():
    check_platforms(parse(config(model("/a"), model("/a", "all {}", "n", None).replace("name", "model_type: 1 name"))))


@pytest.mark.parametrize(("text", "path"), [("/a/b", "/a/b"), ("file:///a/b", "/a/b"), ("a", "a")])
def test_a_base_path_is_a_folder(text, path):
    assert local_path(text) == Path(path)
