"""Each alert that there is, on each channel: real servers take it, a real browser shows it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

import ml.alerting
from browser import open_offline
from ml.alerting import send
from ml.alerting.mail import render_html
from ml.config import AlertSettings
from sample_alerts import BASE, SAMPLES

#: Whatever changes which version serves, asks a person, or is a try.
NEVER_FOLDED = {"promotion_alert", "rollback_alert", "taken_back_alert", "approval_alert", "trial_alert"}


def test_there_is_a_sample_of_everything_that_makes_an_alert():
    assert set(SAMPLES) == {name for name in ml.alerting.__all__ if name.endswith("_alert")}


@pytest.fixture
def received(http_sink, mail_sink):
    """Send an alert; what came to Slack, by mail and to the webhook."""
    settings = AlertSettings.model_validate(
        {
            "slack": {"webhook_url": f"{http_sink.url}/slack"},
            "smtp": {
                "host": "127.0.0.1",
                "port": mail_sink.port,
                "security": "none",
                "sender": "quartet@example.org",
                "recipients": ["a@example.org"],
            },
            "webhook": {"url": f"{http_sink.url}/hook"},
        }
    )

    def receive(alert):
        assert [delivery.error for delivery in send(alert, settings)] == [None, None, None]
        (slack,), (mail,), (hook,) = http_sink.received_at("/slack"), mail_sink.mails, http_sink.received_at("/hook")
        return slack, mail, hook

    return receive


@pytest.mark.parametrize("name", SAMPLES)
def test_every_channel_tells_what_happened_with_its_facts_and_a_page_to_click(name, received):
    alert = SAMPLES[name]
    slack, mail, hook = received(alert)

    html = mail.get_body(("html",)).get_content()
    plain = " ".join(mail.get_body(("plain",)).get_content().split())
    blocks = str(slack["blocks"])
    assert mail["Subject"] == f"[Quartet] {alert.severity}: {alert.title}"
    assert alert.title in slack["text"]
    assert hook["title"] == alert.title
    assert alert.facts
    for fact in alert.facts:
        assert {"name": fact.name, "value": fact.value} in hook["facts"]
        assert f"{fact.name}: {fact.value}" in plain
        assert f"*{fact.name}*" in blocks
    web = [link.address for link in alert.links if link.is_web]
    assert web
    assert all(address.startswith(BASE) for address in web)
    for address in web:
        assert f'href="{address}"' in html
        assert f"<{address}|" in blocks
    assert alert.remedy


@pytest.mark.parametrize("name", SAMPLES)
def test_what_changes_what_serves_or_asks_a_person_is_never_folded_and_the_rest_is(name):
    alert = SAMPLES[name]

    assert bool(alert.cause) is (name not in NEVER_FOLDED)
    assert not any(" " in part and "2026" in part for part in alert.cause), "a cause holds nothing of one run"


def test_no_two_alerts_have_the_same_cause():
    causes = [alert.cause for alert in SAMPLES.values() if alert.cause]

    assert len(set(causes)) == len(causes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("promotion_alert", 760, "light"),
        ("promotion_alert", 380, "dark"),
        ("refusal_alert", 760, "dark"),
        ("refusal_alert", 380, "light"),
        ("rejection_alert", 380, "light"),
    ],
)
def test_a_mail_is_shown_whole_on_wide_and_narrow_screens_in_light_and_dark(name, width, scheme, tmp_path):
    """The pictures are kept in the folder that QUARTET_TEST_ARTEFACTS names."""
    page = tmp_path / "mail.html"
    page.write_text(render_html(SAMPLES[name]))
    opened = open_offline(page, width, scheme)

    folder = Path(os.environ.get("QUARTET_TEST_ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"mail-{name}-{width}-{scheme}.png").write_bytes(opened.screenshot)
    picture = Image.open(io.BytesIO(opened.screenshot)).convert("L")
    paper, ink = picture.getpixel((2, 2)), picture.histogram()
    assert (opened.requested[1:], opened.failed, opened.complaints) == ([], [], [])
    assert opened.width <= width
    assert (paper > 200) is (scheme == "light")
    # Of the other end of the scale there are letters.
    assert sum(ink[:90] if scheme == "light" else ink[200:]) > 2000
