import pytest

from serving import local, sync


@pytest.mark.parametrize("module", [local, sync], ids=["local", "sync"])
def test_settings_that_are_wrong_end_the_process_with_the_reason(module, monkeypatch, caplog):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    monkeypatch.setenv("QUARTET__SERVING__NOTHING", "1")

    assert module.main() == 1
    assert "unknown setting 'serving.nothing'" in caplog.text
