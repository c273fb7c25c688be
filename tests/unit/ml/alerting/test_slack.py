from __future__ import annotations

import json

import pytest

from ml.alerting import Fact, Link, render_slack

HOSTILE = "<!channel> <script>x</script> & *bold* `code` ```"


def texts(body):
    """Every text object of a message."""
    return [
        text
        for block in body["blocks"]
        for text in [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        if text
    ]


def markup(body):
    return "\n".join(text["text"] for text in texts(body) if text["type"] == "mrkdwn")


def test_a_message_tells_what_failed_with_numbers_links_and_remedy(make_alert):
    body = render_slack(make_alert())

    assert "ingest_images: validate failed" in body["text"]
    assert body["blocks"][0]["text"]["text"].endswith("ingest_images: validate failed")
    assert "*images at least 10*\n`1 of 4 outside: glioma has 3`" in markup(body)
    assert "*What to do next*\nAdd images." in markup(body)
    assert "report: `s3://bucket/report.html`" in markup(body)
    assert "<https://airflow.example/log?a=1&amp;b=2|task log>" in markup(body)
    assert "critical · 2026-01-02 03:04:05 UTC" in markup(body)


def test_nothing_in_a_value_can_mention_link_or_format(make_alert):
    alert = make_alert(
        message=HOSTILE, facts=(Fact(HOSTILE, HOSTILE),), remedy=HOSTILE, links=(Link("a|b>", "https://x/|>"),)
    )
    text = markup(render_slack(alert))

    assert "<!channel>" not in text
    assert "<script>" not in text
    assert "&lt;!channel&gt; &lt;script&gt;x&lt;/script&gt; &amp;" in text
    assert "<https://x/%7C&gt;|a|b&gt;>" in text
    fact = next(line for line in text.splitlines() if line.startswith("`&"))
    assert fact.count("`") == 2
    assert text.count("```") == 2 + HOSTILE.count("```")  # the message's own two, and those of the remedy


@pytest.mark.parametrize("filling", ["x", "&", "<"], ids=["plain", "ampersands", "brackets"])
def test_slacks_limits_hold_for_the_longest_alert(make_alert, filling):
    long = filling * 100_000
    alert = make_alert(
        title=long,
        message=long,
        remedy=long,
        facts=tuple(Fact(long, long) for _ in range(100)),
        links=tuple(Link(long, f"https://{long}") for _ in range(100)),
    )
    body = render_slack(alert)

    assert len(body["blocks"]) <= 50
    assert len(body["blocks"][0]["text"]["text"]) <= 150
    assert max(len(text["text"]) for text in texts(body)) <= 3000
    fields = [block["fields"] for block in body["blocks"] if "fields" in block]
    assert max(map(len, fields)) <= 10
    assert max(len(field["text"]) for group in fields for field in group) <= 3000
    assert json.loads(json.dumps(body)) == body


def test_an_alert_without_facts_links_and_remedy_has_no_empty_block(make_alert):
    body = render_slack(make_alert(facts=(), links=(), remedy=""))

    assert [block["type"] for block in body["blocks"]] == ["header", "section", "context"]
    assert all(text["text"] for text in texts(body))
