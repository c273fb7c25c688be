from __future__ import annotations

from ml.data_docs import store_data_docs


def write(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def keys(store):
    return [info.key for info in store.list("report/")]


def test_a_site_is_stored_file_by_file(store, tmp_path):
    first_page = store_data_docs(store, write(tmp_path / "site", "index.html", "static/style.css"), "report/gx/")

    assert first_page == "report/gx/index.html"
    assert keys(store) == ["report/gx/index.html", "report/gx/static/style.css"]
    assert store.get("report/gx/static/style.css") == b"static/style.css"


def test_animations_are_left_out(store, tmp_path):
    store_data_docs(store, write(tmp_path / "site", "index.html", "static/walk.gif"), "report/gx/")

    assert keys(store) == ["report/gx/index.html"]


def test_a_second_site_replaces_the_first_and_nothing_else(store, tmp_path):
    store.put("report/index.html", b"ours")
    store_data_docs(store, write(tmp_path / "first", "index.html", "validations/1.html"), "report/gx/")
    store_data_docs(store, write(tmp_path / "second", "index.html", "validations/2.html"), "report/gx/")

    assert keys(store) == ["report/gx/index.html", "report/gx/validations/2.html", "report/index.html"]
