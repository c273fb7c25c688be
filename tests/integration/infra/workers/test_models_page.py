"""The Models page where FAB keeps the users, who sign in on its own page."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from celery_stack import ADMIN, VIEWER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def signed_in(stack, user):
    """A session with the cookie that FAB's sign-in form gives."""
    session = stack.session()
    form = session.get(f"{stack.url}/auth/login/", timeout=60)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.text)[1]
    fields = {"csrf_token": token, "username": user, "password": stack.passwords[user]}
    assert session.post(f"{stack.url}/auth/login/", data=fields, timeout=60).ok
    return session


def start(stack, session, token):
    fields = {"token": token, "reason": "because I can", "variants": "narrow"}
    return session.post(f"{stack.url}/quartet/actions/retrain", data=fields, timeout=60, allow_redirects=False)


def token_of(page):
    return re.search(r'name="token"[^>]*value="([^"]+)"', page.text)[1]


def runs_of(stack):
    return [run.run_id for run in stack.api.latest_runs("retrain")]


@pytest.mark.parametrize("user", [ADMIN, VIEWER])
def test_who_is_signed_in_sees_the_latest_run(stack, run, user):
    with signed_in(stack, user) as session:
        page = session.get(f"{stack.url}/quartet/models", timeout=60)

    assert page.status_code == 200
    assert re.search(r'data-figure="latest-run"[^>]*>.*?</', page.text, re.DOTALL)[0].count(run.run_id) == 1
    assert ("no-rights" in page.text) == (user == VIEWER)


def test_a_viewer_may_start_nothing(stack, run):
    before = runs_of(stack)
    with signed_in(stack, VIEWER) as session:
        answer = start(stack, session, token_of(session.get(f"{stack.url}/quartet/models", timeout=60)))

    assert answer.status_code == 403
    assert runs_of(stack) == before


def test_nobody_sees_or_starts_anything(stack, run):
    before = runs_of(stack)
    with stack.session() as nobody:
        assert nobody.get(f"{stack.url}/quartet/models", timeout=60).status_code == 401
        assert start(stack, nobody, "none").status_code == 401
    assert runs_of(stack) == before


def test_an_administrator_starts_a_run_under_the_own_name(stack, run):
    with signed_in(stack, ADMIN) as session:
        # It is not to be carried out.
        paused = session.patch(f"{stack.url}/api/v2/dags/retrain", json={"is_paused": True}, timeout=60)
        assert paused.ok, paused.text
        answer = start(stack, session, token_of(session.get(f"{stack.url}/quartet/models", timeout=60)))
        (started,) = set(runs_of(stack)) - {run.run_id}
        path = f"{stack.url}/api/v2/dags/retrain/dagRuns/{quote(started, safe='')}"
        told = session.get(path, timeout=60).json()

    assert answer.status_code == 303
    assert (told["triggering_user_name"], told["conf"]["reason"]) == (ADMIN, "because I can")
