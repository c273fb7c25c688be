import pytest

from serving.client import InvalidRequestError
from serving.client._calls import Choice, choose
from serving.client._rest_language import RestLanguage, model_url


@pytest.mark.parametrize(
    ("version", "label", "default", "choice"),
    [
        (None, None, None, Choice()),
        (None, None, "stable", Choice(label="stable")),
        (None, "canary", "stable", Choice(label="canary")),
        (None, "", "stable", Choice()),
        (3, None, "stable", Choice(version=3)),
        (3, "", "stable", Choice(version=3)),
    ],
)
def test_a_call_says_more_than_the_client_and_a_version_more_than_a_label(version, label, default, choice):
    assert choose(version, label, default) == choice


def test_a_version_and_a_label_are_one_too_many():
    with pytest.raises(InvalidRequestError, match="version 3 and label 'canary'"):
        choose(3, "canary", None)


def test_names_and_labels_are_quoted_in_addresses():
    assert model_url("http://there", "a b/c") == "http://there/v1/models/a%20b%2Fc"
    assert RestLanguage("there").metadata(Choice(label="a/b")).path == "/labels/a%2Fb/metadata"
