from __future__ import annotations

import json
import stat

import pytest

from infra.local.credentials import ensure_credentials, read_password
from infra.local.errors import StackError
from infra.local.layout import Layout


def test_credentials_are_made_once(layout):
    assert ensure_credentials(layout) == ensure_credentials(layout)


def test_every_stack_has_its_own(tmp_path):
    layouts = [Layout(tmp_path / "one"), Layout(tmp_path / "two")]
    for layout in layouts:
        layout.make_folders()
    one, two = map(ensure_credentials, layouts)
    secrets = {one.jwt_secret, two.jwt_secret, *one.passwords.values(), *two.passwords.values()}
    assert len(secrets) == 6


def test_the_secret_is_long_enough_for_hmac_sha512(layout):
    assert len(ensure_credentials(layout).jwt_secret.encode()) >= 64


def test_only_the_owner_can_read_them_even_if_that_was_otherwise(layout):
    ensure_credentials(layout)
    layout.passwords_file.chmod(0o644)
    ensure_credentials(layout)
    for path in (layout.passwords_file, layout.jwt_secret_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_password_that_was_set_by_hand_stays(layout):
    layout.passwords_file.write_text(json.dumps({"admin": "mine"}))
    credentials = ensure_credentials(layout)
    assert credentials.passwords["admin"] == "mine"
    assert credentials.passwords["viewer"]


def test_they_do_not_show_when_printed(layout):
    credentials = ensure_credentials(layout)
    assert credentials.jwt_secret not in repr(credentials)
    assert credentials.passwords["admin"] not in repr(credentials)


@pytest.mark.parametrize("text", ["not JSON", "[]"])
def test_a_damaged_passwords_file_is_named(layout, text):
    layout.passwords_file.write_text(text)
    with pytest.raises(StackError, match=r"passwords\.json"):
        ensure_credentials(layout)


def test_without_a_stack_there_is_no_password(layout):
    with pytest.raises(StackError, match="make up"):
        read_password(layout)
