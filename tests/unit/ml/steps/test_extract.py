import pytest

from ml.feature_plan import load_maps
from ml.features import FeatureReader
from ml.steps import extract

pytestmark = pytest.mark.slow


@pytest.fixture
def read(first_run):
    def reader(variant):
        context, maps = first_run.context, load_maps(first_run.context.store, "first")[variant]
        return FeatureReader(context.store, maps.prefix, context.settings.store.cache_dir)

    return reader


def test_every_image_of_the_run_is_extracted_once_for_all_variants(first_run):
    assert [result["extracted"] for result in first_run.extracted] == [{"narrow": 34, "wide": 34}]


def test_a_part_that_is_tried_again_extracts_nothing(first_run):
    (part,) = (result["part"] for result in first_run.extracted)

    assert extract.run(first_run.context, "first", part)["extracted"] == {"narrow": 0, "wide": 0}


def test_maps_lie_under_the_fingerprint_and_can_be_read(first_run, read):
    assert read("wide").shape() == (2, 2, 512)
    assert read("narrow").shape() == (2, 2, 256)


def test_variants_never_share_a_fingerprint(first_run):
    assert len({maps.fingerprint for maps in load_maps(first_run.context.store, "first").values()}) == 2
