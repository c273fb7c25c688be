import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
GONE = re.compile(r"^(docker\.io/)?(minio/|bitnami/|bitnamilegacy/)|^k8s\.gcr\.io/")
VARIABLE = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \|", re.MULTILINE)


class Loader(yaml.SafeLoader):
    """Takes compose's tags for nothing."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def images_of(node):
    """`image: name`, `{repository, tag}` and kustomize's `{name, newTag}`, at any depth."""
    if isinstance(node, list):
        for item in node:
            yield from images_of(item)
    elif isinstance(node, dict):
        if isinstance(node.get("image"), str):
            yield VARIABLE.sub(r"\1", node["image"])
        for name, tag in (("repository", "tag"), ("name", "newTag")):
            if name in node and tag in node:
                yield f"{node[name]}:{node[tag]}"
        for value in node.values():
            yield from images_of(value)


def named(root=ROOT):
    """Image references by file."""
    files = [*root.glob("docker-compose*.yaml"), *(root / "infra").rglob("*.yaml")]
    found = {
        path: {image for document in yaml.load_all(path.read_text(), Loader) for image in images_of(document)}
        for path in files
    }
    for path in (root / "infra").rglob("*Dockerfile*"):
        text = path.read_text()
        stages = set(re.findall(r" AS ([\w-]+)$", text, re.MULTILINE)) | {"scratch"}
        bases = set(re.findall(r"^FROM ([^$\s]\S*)", text, re.MULTILINE)) - stages
        found[path] = bases | set(re.findall(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE))
    return found


def table():
    return dict(ROW.findall((ROOT / "docs/container-images.md").read_text()))


def test_every_image_is_in_the_table():
    missing = {
        (str(path.relative_to(ROOT)), image) for path, images in named().items() for image in images - set(table())
    }

    assert missing == set()


def test_every_row_is_used():
    used = {image for images in named().values() for image in images}
    # Rows of the compose stack count where its file is.
    rows = {image for image, where in table().items() if "k8s" in where or "Helm" in where}
    if (ROOT / "docker-compose.yaml").exists():
        rows |= set(table())

    assert rows - used == set()


def test_every_image_has_a_tag_that_stays_and_a_repository_that_is_there():
    for images in named().values():
        for image in images:
            assert not GONE.search(image), image
            assert re.search(r":(?!latest$)[\w.-]+(@sha256:[0-9a-f]{64})?$", image), image


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("services: {a: {image: '${A_IMAGE:-redis:7}'}}", "redis:7"),
        ("images: {airflow: {repository: a/b, tag: '1'}}", "a/b:1"),
        ("images: [{name: a/b, newTag: '2'}]", "a/b:2"),
    ],
)
def test_images_are_found(text, image):
    assert list(images_of(yaml.safe_load(text))) == [image]
