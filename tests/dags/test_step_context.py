import pytest
from airflow.sdk.exceptions import AirflowFailException

from ml.errors import ConfigError, CorruptShardError, DataError, StoreError, ValidationFailedError, WeightsError
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


@pytest.mark.parametrize("kind", [ConfigError, DataError, ValidationFailedError, WeightsError])
def test_error_that_stays_fails_the_task_at_once_with_its_remedy(kind):
    with (
        pytest.raises(AirflowFailException, match=rf"{kind.__name__}: No images\. Remedy: Upload some\."),
        open_context(),
    ):
        raise kind("No images.", "Upload some.")


def test_shard_that_was_replaced_meanwhile_is_left_to_the_retries():
    with pytest.raises(CorruptShardError, match="is gone"), open_context():
        raise CorruptShardError("The shard is gone.")


def test_wrong_settings_fail_the_task_at_once(settings_file):
    settings_file.write_text("model: tiny\n")

    with pytest.raises(AirflowFailException, match="unknown setting 'model'"), open_context():
        pass


def test_store_that_does_not_answer_is_left_to_the_retries():
    with pytest.raises(StoreError, match="does not answer"), open_context():
        raise StoreError("The store does not answer.")
