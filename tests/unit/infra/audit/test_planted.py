"""Secrets that lie among the files of a work tree."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from infra.audit.errors import AuditError
from infra.audit.planted import BASELINE, accept_secrets, check_secrets

#: In two parts, or this file would hold one.
KEY = "AKIA" + "Q3ZJ7VTN2MXB8WLP"


@pytest.fixture
def tree(tmp_path):
    """A work tree with a harmless file and a baseline."""
    if shutil.which("git") is None:
        pytest.skip("There is no git.")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "settings.py").write_text('region = "us-east-1"\n')
    (tmp_path / ".gitignore").write_text(".env\n")
    accept_secrets(tmp_path)
    return tmp_path


def test_files_without_secrets_are_fine(tree):
    assert check_secrets(tree) == 2


def test_a_planted_key_is_found_before_it_is_committed(tree):
    (tree / "settings.py").write_text(f'region = "us-east-1"\nkey = "{KEY}"\n')

    with pytest.raises(AuditError, match=r"settings.py:2 looks like a secret: AWS Access Key"):
        check_secrets(tree)


def test_the_same_key_in_another_file_is_not_what_was_accepted(tree):
    (tree / "settings.py").write_text(f'key = "{KEY}"\n')
    accept_secrets(tree)
    assert check_secrets(tree) == 2
    (tree / "other.py").write_text(f'key = "{KEY}"\n')

    with pytest.raises(AuditError, match=r"^other.py:1 "):
        check_secrets(tree)


def test_the_baseline_holds_no_secret(tree):
    (tree / "settings.py").write_text(f'key = "{KEY}"\n')
    accept_secrets(tree)

    assert KEY not in (tree / BASELINE).read_text()


def test_what_git_ignores_is_not_looked_at(tree):
    (tree / ".env").write_text(f"KEY={KEY}\n")

    assert check_secrets(tree) == 2


def test_without_a_baseline_nothing_is_fine(tree):
    (tree / BASELINE).unlink()

    with pytest.raises(AuditError, match="There is no"):
        check_secrets(tree)
