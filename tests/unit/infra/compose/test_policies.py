"""Who may do what in the object store, by the policies that its users are given."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

POLICIES = Path(__file__).parents[4] / "infra/compose/policies"
KEYS = {
    "landing": "quartet/landing/glioma/1.png",
    "models": "quartet/models/m/1/saved_model.pb",
    "promotions": "quartet/promotions/m/000001.json",
    "runs": "quartet/runs/r/plan.json",
    "pseudonyms": "quartet/pseudonyms/key",
    "mlflow": "mlflow/1/plot.png",
}


def allowed(user, action):
    """Those of `KEYS` with which the user may do something."""
    statements = json.loads((POLICIES / f"{user}.json").read_text())["Statement"]
    patterns = [
        resource.removeprefix("arn:aws:s3:::")
        for one in statements
        if one["Effect"] == "Allow" and any(fnmatchcase(action, pattern) for pattern in one["Action"])
        for resource in one["Resource"]
    ]
    return {name for name, key in KEYS.items() if any(fnmatchcase(key, pattern) for pattern in patterns)}


@pytest.mark.parametrize(
    ("user", "writes", "reads"),
    [
        ("uploader", {"landing"}, {"landing"}),
        ("sync", set(), {"models", "promotions"}),
        ("reader", set(), set(KEYS) - {"mlflow"}),
        ("mlflow", {"mlflow"}, {"mlflow"}),
        ("pipeline", set(KEYS), set(KEYS)),
    ],
)
def test_each_user_may_do_what_its_part_does_and_no_more(user, writes, reads):
    assert allowed(user, "s3:PutObject") == allowed(user, "s3:DeleteObject") == writes
    assert allowed(user, "s3:GetObject") == reads


def test_there_are_no_other_users():
    assert {path.stem for path in POLICIES.iterdir()} == {"uploader", "sync", "reader", "mlflow", "pipeline"}
