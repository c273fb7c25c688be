import pytest

from infra.local.demo.images import Source, phantom_folder, switch_source
from infra.local.layout import Layout
from ml.errors import DataError


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "checkout")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mri" / "glioma").mkdir(parents=True)
    return tmp_path / "mri"


@pytest.fixture
def switch(layout):
    """Switches to a source; returns what was said, with `stop` where the stack was stopped."""

    def run(source):
        said = []
        switch_source(layout, source, lambda: said.append("stop"), said.append)
        return said

    return run


def test_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"There is no folder .*/nowhere.*DATA names"):
        Source.of(tmp_path / "nowhere")


def test_folder_without_class_folders_is_refused(folder):
    (folder / "glioma").rmdir()
    (folder / "1.jpg").touch()

    with pytest.raises(DataError, match=r"mri holds no folders.*<folder>/<label>/<file>"):
        Source.of(folder)


def test_sources_of_the_same_name_differ(tmp_path, folder):
    other = tmp_path / "elsewhere" / "mri"
    (other / "glioma").mkdir(parents=True)

    assert len({Source.of(folder).name, Source.of(other).name, Source.of(None).name}) == 3


def test_first_source_takes_var_as_it_is(layout, switch):
    assert switch(Source.of(None)) == []
    assert layout.store.is_dir()


def test_same_source_goes_on_where_it_was(layout, switch, folder):
    switch(Source.of(folder))
    (layout.store / "kept").touch()

    assert switch(Source.of(folder)) == []
    assert (layout.store / "kept").exists()


def test_other_source_gets_a_var_of_its_own_and_nothing_is_lost(layout, switch, folder):
    switch(Source.of(None))
    (layout.store / "drawn").touch()

    said = switch(Source.of(folder))

    assert said == ["stop", f"what phantoms gave is kept in {layout.root / 'var-phantoms'}"]
    assert not (layout.store / "drawn").exists()
    assert (layout.root / "var-phantoms/store/drawn").exists()


def test_coming_back_to_a_source_brings_back_what_it_gave(layout, switch, folder):
    switch(Source.of(None))
    (layout.store / "drawn").touch()
    switch(Source.of(folder))
    (layout.store / "real").touch()

    said = switch(Source.of(None))

    assert "going on from what phantoms gave before" in said
    assert (layout.store / "drawn").exists()
    assert not (layout.store / "real").exists()
    assert (layout.root / f"var-{Source.of(folder).name}/store/real").exists()


def test_images_that_somebody_uploaded_by_hand_are_kept_apart_too(layout, switch):
    layout.make_folders()
    (layout.store / "landing/glioma").mkdir(parents=True)

    switch(Source.of(None))

    assert (layout.root / "var-own/store/landing/glioma").is_dir()
    assert not (layout.store / "landing").exists()


def test_two_vars_of_one_source_are_never_merged(layout, switch, folder):
    switch(Source.of(None))
    (layout.root / "var-phantoms").mkdir()

    with pytest.raises(DataError, match=r"phantoms gave, and so does .*var-phantoms.*Move or remove"):
        switch(Source.of(folder))
    assert layout.var.is_dir()


def test_phantoms_are_drawn_once(layout, monkeypatch):
    monkeypatch.setattr("infra.local.demo.images.IMAGES_PER_CLASS", 1)
    layout.make_folders()
    (layout.var / "phantoms.part").mkdir()
    (layout.var / "phantoms.part/half-written").touch()

    folder = phantom_folder(layout)
    drawn = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    assert sorted(path.name for path in folder.iterdir()) == ["glioma", "meningioma", "notumor", "pituitary"]
    assert not (layout.var / "phantoms.part").exists()
    assert {path: path.stat().st_mtime_ns for path in phantom_folder(layout).rglob("*")} == drawn
