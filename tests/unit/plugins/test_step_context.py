import pytest

from ml.errors import ConfigError, DataError
from plugins.step_context import open_context


@pytest.fixture(autouse=True)
def settings_file(tmp_path, monkeypatch):
    path = tmp_path / "quartet.yaml"
    path.write_text(f"store: {{url: {tmp_path / 'store'}}}\nmodel_name: tiny\n")
    monkeypatch.setenv("QUARTET_CONFIG", str(path))
    return path


def test_step_gets_the_settings_and_the_store(tmp_path):
    with open_context() as context:
        assert context.settings.model_name == "tiny"
        assert context.store.url == str(tmp_path / "store")


def test_an_error_of_a_step_reaches_the_retry_policy_as_it_was_raised():
    error = DataError("No images.", "Upload some.")

    with pytest.raises(DataError) as raised, open_context():
        raise error

    assert raised.value is error


def test_wrong_settings_name_the_key(settings_file):
    settings_file.write_text("model: tiny\n")

    with pytest.raises(ConfigError, match="unknown setting 'model'"), open_context():
        pass
