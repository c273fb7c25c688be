from __future__ import annotations

import pytest

from ml.alerting import Fact, Link
from ml.alerting.alert import MAX_FACTS, cut, one_line


def test_a_title_is_one_line_whatever_it_holds(make_alert):
    alert = make_alert(title="failed\r\nBcc: all@example.org\n\tnow")

    assert alert.title == "failed Bcc: all@example.org now"


def test_a_long_value_is_cut_and_its_length_is_said(make_alert):
    alert = make_alert(facts=(Fact("keys", "k" * 5000),))

    assert len(alert.facts[0].value) == 400
    assert alert.facts[0].value.endswith("k … (5000 characters)")


def test_facts_that_are_too_many_are_counted(make_alert):
    alert = make_alert(facts=tuple(Fact(str(number), "1") for number in range(50)))

    assert len(alert.facts) == MAX_FACTS
    assert alert.facts[-1] == Fact("not shown", "31 more facts")
    assert alert.facts[-2] == Fact("18", "1")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\x00b\x1b[31mc", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31mc"),
        ("gpj.\u202eexe", "gpj.\N{REPLACEMENT CHARACTER}exe"),
        ("lone \udcff surrogate", "lone \N{REPLACEMENT CHARACTER} surrogate"),
        ("  Größe\t3\n", "Größe 3"),
    ],
    ids=["control", "turned round", "surrogate", "white space"],
)
def test_what_is_no_text_is_replaced(text, line):
    assert one_line(text) == line


@pytest.mark.parametrize("length", [99, 100, 101, 100_000])
def test_cut_text_never_exceeds_the_limit(length):
    assert len(cut("x" * length, 100)) == min(length, 100)


@pytest.mark.parametrize(
    ("address", "is_web"),
    [("https://a.example", True), ("http://a.example", True), ("s3://a/b", False), ("/var/report.html", False)],
)
def test_only_web_addresses_can_be_clicked(address, is_web):
    assert Link("page", address).is_web is is_web
