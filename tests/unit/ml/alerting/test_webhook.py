from __future__ import annotations

import json

from ml.alerting import render_webhook


def test_the_body_is_json_with_facts_and_links_in_their_order(make_alert):
    body = json.loads(json.dumps(render_webhook(make_alert(cause=("failure", "ingest_images")))))

    assert body == {
        "version": 1,
        "source": "quartet",
        "severity": "critical",
        "title": "ingest_images: validate failed",
        "message": "Snapshot s1 does not meet 1 critical expectation(s).",
        "facts": [
            {"name": "images at least 10", "value": "1 of 4 outside: glioma has 3"},
            {"name": "run", "value": "manual__1"},
        ],
        "links": [
            {"name": "report", "address": "s3://bucket/report.html"},
            {"name": "task log", "address": "https://airflow.example/log?a=1&b=2"},
        ],
        "remedy": "Add images.",
        "at": "2026-01-02T03:04:05+00:00",
        "cause": ["failure", "ingest_images"],
    }
