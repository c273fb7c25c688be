"""The list of what is locked, read beside the lock file itself."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from infra.audit.locked import ROOT, requirements, write_sbom

LOCKED = {(one["name"], one["version"]): one for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("sbom") / "below/sbom.json"
    write_sbom(path)
    return path.read_text()


@pytest.fixture(scope="module")
def components(text):
    return {(one["name"], one["version"]): one for one in json.loads(text)["components"]}


def reachable():
    """All that quartet and its extras need, whatever the platform."""
    quartet = next(one for (name, _), one in LOCKED.items() if name == "quartet")
    extras = quartet["optional-dependencies"].values()
    waiting = [*quartet["dependencies"], *(need for needs in extras for need in needs)]
    found, done = set(), set()
    while waiting:
        need = waiting.pop()
        for extra in (None, *need.get("extra", ())):
            for (name, version), package in LOCKED.items():
                matches = name == need["name"] and need.get("version", version) == version
                if not matches or name == "quartet" or (name, version, extra) in done:
                    continue
                done.add((name, version, extra))
                found.add((name, version))
                waiting += package.get("optional-dependencies", {}).get(extra, ()) if extra else ()
                waiting += package.get("dependencies", ()) if extra is None else ()
    return found


def test_it_lists_every_package_that_an_installation_may_hold(components):
    assert set(components) == reachable()


def test_tools_are_not_among_them(components):
    assert {name for name, _ in components}.isdisjoint({"pytest", "ruff", "mypy", "moto"})


def test_each_has_the_digests_that_are_locked(components):
    for key, component in components.items():
        told = {one["content"] for place in component["externalReferences"] for one in place.get("hashes", ())}
        files = [*LOCKED[key].get("wheels", ()), *([LOCKED[key]["sdist"]] if "sdist" in LOCKED[key] else [])]
        assert told == {one["hash"].removeprefix("sha256:") for one in files}, key


def test_it_is_cyclonedx(text):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None


def test_what_is_looked_up_is_all_that_is_locked_with_digests():
    lines = re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]+\])?==(\S+)(.*)$", requirements(), re.MULTILINE)
    platforms = {key for key, one in LOCKED.items() if key[0] != "quartet"}

    assert {(name, version) for name, version, _ in lines} == platforms
