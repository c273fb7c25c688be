from __future__ import annotations

import subprocess
import sys
from email import message_from_bytes, policy
from html.parser import HTMLParser

import pytest

from ml.alerting import Fact, Link, render_mail
from ml.alerting.mail import render_html, render_text

HOSTILE = "<script>alert('x')</script> & \"co\""


class Page(HTMLParser):
    """The tags, the addresses and the visible text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in {"href", "src"}]

    def handle_data(self, data):
        if self.tags[-1:] != ["style"]:
            self.words.append(data)


@pytest.fixture
def sent(make_alert):
    """What arrives of an alert."""

    def send(**changes):
        mail = render_mail(make_alert(**changes), "quartet@example.org", ["a@example.org", "b@example.org"])
        return message_from_bytes(mail.as_bytes(), policy=policy.default)

    return send


def test_a_mail_has_subject_sender_recipients_and_date(sent):
    mail = sent()

    assert mail["Subject"] == "[Quartet] critical: ingest_images: validate failed"
    assert (mail["From"], mail["To"]) == ("quartet@example.org", "a@example.org, b@example.org")
    assert mail["Date"] == "Fri, 02 Jan 2026 03:04:05 +0000"
    assert mail["Message-ID"].endswith("@example.org>")
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_mail_says_the_same_in_plain_text_and_in_html(sent):
    mail = sent()
    plain, html = (mail.get_body((form,)).get_content() for form in ("plain", "html"))
    page = " ".join(Page(html).words)

    for text in (
        "validate failed",
        "Snapshot s1 does not meet",
        "images at least 10",
        "1 of 4 outside: glioma has 3",
        "Add images.",
        "s3://bucket/report.html",
    ):
        assert text in plain
        assert text in page
    assert "https://airflow.example/log?a=1&b=2" in plain
    assert Page(html).addresses == ["https://airflow.example/log?a=1&b=2"]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\u2028"], ids=["lf", "crlf", "cr", "separator"])
def test_a_title_cannot_add_a_header(sent, line_break):
    mail = sent(title=f"failed{line_break}Bcc: all@example.org")

    assert mail["Bcc"] is None
    assert "Bcc: all@example.org" in mail["Subject"]


def test_hostile_text_is_escaped_in_html_and_kept_in_plain_text(sent):
    link = Link(HOSTILE, f"https://x/\"onclick='{HOSTILE}'")
    mail = sent(title=HOSTILE, message=HOSTILE, facts=(Fact(HOSTILE, HOSTILE),), remedy=HOSTILE, links=(link,))
    page = Page(mail.get_body(("html",)).get_content())

    assert "script" not in page.tags
    assert page.addresses == [link.address]
    assert HOSTILE in "".join(page.words)
    assert HOSTILE in mail.get_body(("plain",)).get_content()


def test_a_page_loads_nothing(make_alert):
    html = render_html(make_alert())

    assert not {"img", "link", "script", "iframe"} & set(Page(html).tags)
    assert "url(" not in html
    assert "@import" not in html


def test_what_stands_between_backticks_is_code_and_stays_escaped(make_alert):
    html = render_html(make_alert(remedy="Change `gate` or `<b>`; a ` alone stays."))

    assert ">gate</code> or <code" in html
    assert ">&lt;b&gt;</code>; a ` alone stays." in html


def test_a_name_keeps_its_capitals(make_alert):
    html = render_html(make_alert(links=(Link("run in Airflow", "https://airflow.example/r"),)))

    assert ">Run in Airflow</a>" in html


def test_a_path_is_no_link(make_alert):
    page = Page(render_html(make_alert(links=(Link("report", "/var/store/report.html"),))))

    assert page.addresses == []
    assert "/var/store/report.html" in " ".join(page.words)


def test_a_text_without_facts_links_and_remedy_has_no_gaps(make_alert):
    text = render_text(make_alert(facts=(), links=(), remedy=""))

    assert text == (
        "ingest_images: validate failed\n\nSnapshot s1 does not meet 1 critical expectation(s).\n\n"
        "Sent by Quartet at 2026-01-02 03:04:05 UTC.\n"
    )


def test_only_what_is_critical_is_marked_as_important(sent):
    assert sent()["Importance"] == "high"
    assert sent(severity="warning")["Importance"] is None


def test_alerting_imports_nothing_that_takes_long():
    program = "import sys, ml.alerting; sys.exit(', '.join({'pandas', 'numpy', 'tensorflow'} & sys.modules.keys()))"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert process.stderr.strip() == ""
