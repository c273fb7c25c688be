from __future__ import annotations

import traceback

import pytest
import yaml

from ml.cli import config
from ml.config import REVEAL_SECRETS, AlertSettings, load_settings
from ml.errors import ConfigError

SECRET = "s3cret-hunter2"
SMTP = {"host": "mail.example", "sender": "q@example.org", "recipients": ["a@example.org"]}
PASSWORD = {"user": "me", "password": SECRET}
ALL = {
    "slack": {"webhook_url": f"https://hooks.slack.com/services/{SECRET}"},
    "smtp": SMTP | PASSWORD,
    "webhook": {"url": f"https://hook.example/{SECRET}", "headers": {"Authorization": f"Bearer {SECRET}"}},
}


@pytest.fixture
def load(tmp_path):
    """Settings from a section `alerts` and variables."""

    def loaded(alerts=None, **variables):
        path = tmp_path / "quartet.yaml"
        path.write_text(yaml.safe_dump({"alerts": alerts or {}}))
        return load_settings(path, variables)

    return loaded


def test_without_a_section_there_are_no_channels(load):
    alerts = load().alerts

    assert (alerts.slack, alerts.smtp, alerts.webhook) == (None, None, None)


def test_one_variable_is_enough_for_slack(load):
    alerts = load(QUARTET__ALERTS__SLACK__WEBHOOK_URL="https://hooks.slack.com/services/x").alerts

    assert alerts.slack.webhook_url.get_secret_value() == "https://hooks.slack.com/services/x"


@pytest.mark.parametrize("password", ["007", "yes", "@a#b: {", "'quoted'", "null", " spaces "])
def test_a_password_in_a_variable_is_taken_as_it_stands(load, password):
    alerts = load({"smtp": SMTP}, QUARTET__ALERTS__SMTP__USER="me", QUARTET__ALERTS__SMTP__PASSWORD=password).alerts

    assert alerts.smtp.password.get_secret_value() == password


def test_an_empty_variable_is_no_password(load):
    assert load({"smtp": SMTP}, QUARTET__ALERTS__SMTP__PASSWORD="").alerts.smtp.password is None


def test_a_header_in_a_variable_is_taken_as_it_stands_and_all_of_them_are_yaml(load):
    webhook = {"url": "https://hook.example"}
    one = load({"webhook": webhook}, QUARTET__ALERTS__WEBHOOK__HEADERS__AUTHORIZATION="Token: 1").alerts
    all_of_them = load({"webhook": webhook}, QUARTET__ALERTS__WEBHOOK__HEADERS="{X-Api-Key: abc}").alerts

    assert one.webhook.headers["authorization"].get_secret_value() == "Token: 1"
    assert all_of_them.webhook.headers["X-Api-Key"].get_secret_value() == "abc"


def test_what_is_no_secret_is_yaml_as_everywhere(load):
    alerts = load(
        {"smtp": SMTP}, QUARTET__ALERTS__SMTP__PORT="25", QUARTET__ALERTS__SMTP__RECIPIENTS="[b@example.org]"
    ).alerts

    assert (alerts.smtp.port, alerts.smtp.recipients) == (25, ("b@example.org",))


def test_no_secret_is_printed(load, tmp_path, monkeypatch, capsys):
    settings = load(ALL)
    monkeypatch.setenv("QUARTET_CONFIG", str(tmp_path / "quartet.yaml"))
    config()
    printed = capsys.readouterr().out

    assert "mail.example" in printed
    assert SECRET not in printed + settings.model_dump_json() + str(settings) + repr(settings)


def test_secrets_are_dumped_only_when_asked_for(load):
    settings = load(ALL)
    dumped = settings.model_dump(mode="json", context=REVEAL_SECRETS)["alerts"]

    assert dumped["slack"]["webhook_url"].endswith(SECRET)
    assert AlertSettings.model_validate(dumped) == settings.alerts


@pytest.mark.parametrize(
    ("alerts", "message"),
    [
        ({"slack": {"webhook_url": f"hooks.slack.com/{SECRET}"}}, "alerts.slack.webhook_url: .*must be a URL"),
        ({"slack": {"webhook_url": f"https://x/{SECRET} y"}}, "alerts.slack.webhook_url: .*must be a URL"),
        ({"slack": {"url": f"https://x/{SECRET}"}}, "unknown setting 'alerts.slack.url'.* Known there: webhook_url"),
        ({"slack": SECRET}, "alerts.slack: "),
        ({"smtp": {"password": SECRET}}, "alerts.smtp.host: Field required"),
        ({"smtp": SMTP | {"password": SECRET}}, "user and password go together"),
        ({"smtp": SMTP | PASSWORD | {"security": "none"}}, "travels in the clear"),
        ({"smtp": SMTP | {"recipients": []}}, "alerts.smtp.recipients: "),
        ({"smtp": SMTP | {"sender": f"{SECRET}@x\nBcc: a@b"}}, "alerts.smtp.sender: "),
        ({"webhook": {"url": "https://x", "headers": {"A": f"{SECRET}\r\nB: c"}}}, "alerts.webhook.headers.A: "),
        ({"webhook": {"url": "https://x", "headers": {"A\r\nB": SECRET}}}, "alerts.webhook.headers"),
        ({"fold_minutes": -1}, "alerts.fold_minutes: "),
        ({"fold_minutes": 7 * 24 * 60 + 1}, "alerts.fold_minutes: "),
        ({"fold_minutes": float("nan")}, "alerts.fold_minutes: "),
    ],
)
def test_a_wrong_value_is_named_without_its_content(load, alerts, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        load(alerts)

    assert SECRET not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize("name", ["QUARTET__ALERTS__WEBHOOK__HEADERS", "QUARTET__ALERTS"])
def test_a_variable_that_is_not_yaml_is_named_without_its_content(load, name):
    with pytest.raises(ConfigError, match=f"{name} is not YAML") as refusal:
        load(**{name: f"{{A: {SECRET}"})

    assert SECRET not in "".join(traceback.format_exception(refusal.value))
