import pytest

from ml.errors import ConfigError
from plugins.owner import owner_links


def test_the_owner_leads_to_the_models_page_unless_a_variable_says_otherwise(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/quartet/")

    assert owner_links({}) == {"quartet": "https://airflow.example/quartet/plugin/models"}


@pytest.mark.parametrize("link", ["https://chat.example/imaging", "http://wiki/x", "mailto:imaging@example.org"])
def test_a_variable_may_name_a_page_or_an_address(link):
    assert owner_links({"QUARTET_OWNER_LINK": link}) == {"quartet": link}


@pytest.mark.parametrize("link", ["imaging@example.org", "#imaging", "https://", "javascript:alert(1)", "mailto:"])
def test_what_is_no_address_is_refused_with_the_remedy(link):
    with pytest.raises(ConfigError, match=r"QUARTET_OWNER_LINK = .* is no address\. Remedy: Use https"):
        owner_links({"QUARTET_OWNER_LINK": link})
