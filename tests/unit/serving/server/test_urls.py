import pytest

from serving.server.status import Code, StatusError
from serving.server.urls import Route, parse_route


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/models/m:predict", Route("predict", "m")),
        ("POST", "/v1/models/m:classify", Route("classify", "m")),
        ("POST", "/v1/models/m:regress", Route("regress", "m")),
        ("POST", "/v1/models/m/versions/12:predict", Route("predict", "m", version=12)),
        ("POST", "/v1/models/m/versions/0012:predict", Route("predict", "m", version=12)),
        ("POST", "/v1/models/m/labels/stable:predict", Route("predict", "m", label="stable")),
        ("POST", "/V1/MODELS/m/Versions/1:predict", Route("predict", "m", version=1)),
        ("POST", "/v1/models/a%2Fb/labels/c%3Ad:predict", Route("predict", "a/b", label="c:d")),
        ("GET", "/v1/models/m", Route("status", "m")),
        ("GET", "/v1/models/m/versions/1", Route("status", "m", version=1)),
        ("GET", "/v1/models/m/labels/stable", Route("status", "m", label="stable")),
        ("GET", "/v1/models/m/metadata", Route("metadata", "m")),
        ("GET", "/v1/models/m/versions/1/metadata", Route("metadata", "m", version=1)),
        ("GET", "/v1/models/m/labels/stable/metadata", Route("metadata", "m", label="stable")),
        ("GET", f"/v1/models/m/versions/{2**63 - 1}", Route("status", "m", version=2**63 - 1)),
    ],
)
def test_a_url_says_what_is_asked(method, path, route):
    assert parse_route(method, path) == route


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m/metadata"),
        ("POST", "/v1/models/m:explain"),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:predict/"),
        ("POST", "/v1/models/m/versions/1/labels/x:predict"),
        ("POST", "/v1/models/m/versions/abc:predict"),
        ("POST", "/v1/models/m/version/1:predict"),
        ("POST", "/v1/models/m/label/x:predict"),
        ("POST", "/v1/models/m/versions/:predict"),
        ("POST", "/v1/models/:predict"),
        ("GET", "/v1/models/m:predict"),
        ("GET", "/v1/models/m/versions/-1"),
        ("GET", "/v1/models/m/"),
        ("GET", "/v1/other"),
        ("PUT", "/v1/models/m"),
        ("DELETE", "/v1/models/m"),
        ("HEAD", "/v1/models/m"),
        ("PATCH", "/v1/models/m:predict"),
    ],
)
def test_every_other_url_is_a_malformed_request(method, path):
    with pytest.raises(StatusError) as raised:
        parse_route(method, path)

    assert (raised.value.code, raised.value.message) == (Code.INVALID_ARGUMENT, f"Malformed request: {method} {path}")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/versions/1", "/v1/models/labels/x/metadata"])
def test_a_missing_model_name_is_said(path):
    with pytest.raises(StatusError, match=r"Missing model name in request\."):
        parse_route("GET", path)


@pytest.mark.parametrize("digits", [str(2**63), "9" * 6000], ids=["one too many", "very long"])
def test_a_version_beyond_64_bits_is_refused(digits):
    with pytest.raises(StatusError, match="Failed to convert version"):
        parse_route("GET", f"/v1/models/m/versions/{digits}")
