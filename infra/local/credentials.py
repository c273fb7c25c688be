"""Passwords and secrets of a stack: random, made once, readable by their owner only."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.local.errors import StackError
from infra.local.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from infra.local.layout import Layout

__all__ = ["ADMIN", "JWT_SECRET_BYTES", "OWNER_ONLY", "VIEWER", "Credentials", "ensure_credentials", "read_password"]

ADMIN = "admin"
VIEWER = "viewer"

PASSWORD_BYTES = 18
#: HMAC-SHA512 wants a key of at least 64 bytes.
JWT_SECRET_BYTES = 64
OWNER_ONLY = 0o600


@dataclass(frozen=True)
class Credentials:
    """What signs in people and what signs the components' tokens."""

    passwords: dict[str, str] = field(repr=False)
    jwt_secret: str = field(repr=False)


def ensure_credentials(layout: Layout) -> Credentials:
    """Read the credentials, making those that are missing.

    Raises:
        StackError: the passwords file is not a JSON object.
    """
    passwords = _read_passwords(layout.passwords_file)
    missing = [user for user in (ADMIN, VIEWER) if not passwords.get(user)]
    if missing:
        passwords |= {user: secrets.token_urlsafe(PASSWORD_BYTES) for user in missing}
        replace_file(layout.passwords_file, json.dumps(passwords), OWNER_ONLY)
    if not layout.jwt_secret_file.is_file():
        replace_file(layout.jwt_secret_file, secrets.token_hex(JWT_SECRET_BYTES), OWNER_ONLY)
    for path in (layout.passwords_file, layout.jwt_secret_file):
        path.chmod(OWNER_ONLY)
    return Credentials(passwords, layout.jwt_secret_file.read_text(encoding="utf-8"))


def read_password(layout: Layout, user: str = ADMIN) -> str:
    """A user's password.

    Raises:
        StackError: the stack was never started, or it has no such user.
    """
    passwords = _read_passwords(layout.passwords_file)
    if user not in passwords:
        raise StackError(f"{layout.passwords_file} has no password for {user!r}.", "Run `make up` first.")
    return passwords[user]


def _read_passwords(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        passwords = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise StackError(f"{path} is not JSON.", "Delete it; `make up` makes new passwords.") from error
    if not isinstance(passwords, dict):
        raise StackError(f"{path} must map users to passwords.", "Delete it; `make up` makes new passwords.")
    return {str(user): str(password) for user, password in passwords.items()}
