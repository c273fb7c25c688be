import logging

import pytest
from tensorflow_serving.config.file_system_storage_path_source_pb2 import FileSystemStoragePathSourceConfig

from serving.server.policies import all_versions, latest, nothing, read_policy, specific


@pytest.fixture
def base(tmp_path):
    for name in ("1", "02", "10", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        (latest(), ["10"]),
        (latest(2), ["02", "10"]),
        (latest(9), ["1", "02", "10"]),
        (all_versions, ["1", "02", "10"]),
        (specific([1, 10, 7]), ["1", "10"]),
        (specific([2]), []),
        (specific([]), []),
        (nothing, []),
    ],
    ids=["latest", "latest 2", "latest 9", "all", "specific", "specific with zeros", "specific of none", "nothing"],
)
def test_a_policy_chooses_folders(base, policy, names):
    chosen = policy(base)

    assert sorted(chosen.values()) == sorted(base / name for name in names)
    assert {int(folder.name): folder for folder in chosen.values()} == chosen


@pytest.mark.parametrize("policy", [latest(), all_versions, specific([1])], ids=["latest", "all", "specific"])
def test_a_base_path_that_is_missing_is_an_error(tmp_path, policy):
    with pytest.raises(FileNotFoundError):
        policy(tmp_path / "none")


def test_a_specific_version_that_is_missing_is_warned_of_once_each_time_it_goes(base, caplog):
    policy = specific([1, 7])
    with caplog.at_level(logging.WARNING):
        policy(base)
        policy(base)
        assert caplog.text.count("version 7 is to be served, but") == 1
        (base / "7").mkdir()
        policy(base)
        (base / "7").rmdir()
        policy(base)

    assert caplog.text.count("version 7 is to be served, but") == 2


@pytest.mark.parametrize(
    ("fields", "versions"),
    [
        ({}, {10}),
        ({"latest": {"num_versions": 2}}, {2, 10}),
        ({"latest": {"num_versions": 0}}, {10}),
        ({"all": {}}, {1, 2, 10}),
        ({"specific": {"versions": [1, 1]}}, {1}),
    ],
    ids=["none", "latest", "latest 0", "all", "specific"],
)
def test_a_policy_is_read_from_its_message(base, fields, versions):
    message = FileSystemStoragePathSourceConfig.ServableVersionPolicy(**fields)

    assert set(read_policy(message)(base)) == versions
