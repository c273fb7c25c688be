import logging

import pytest

from ml.features import FeatureReader
from ml.steps import extract

pytestmark = pytest.mark.slow


def test_every_image_of_the_run_is_extracted_once(first_run):
    assert {variant: result["extracted"] for variant, result in first_run.extracted.items()} == {
        "narrow": 34,
        "wide": 34,
    }


def test_second_run_on_the_same_images_extracts_nothing_and_says_so(first_run, second_run, caplog):
    with caplog.at_level(logging.INFO, "ml.extraction"):
        again = extract.run(first_run.context, "second", "narrow")

    assert [result["extracted"] for result in second_run.extracted.values()] == [0, 0]
    assert again["extracted"] == 0
    assert "narrow: 0 images extracted, 34 already cached" in caplog.text


def test_maps_lie_under_the_fingerprint_and_can_be_read(first_run):
    result = first_run.extracted["wide"]
    prefix = f"features/wide/{result['fingerprint']}/"

    reader = FeatureReader(first_run.context.store, prefix, first_run.context.settings.store.cache_dir)
    assert reader.shape() == (2, 2, 512)


def test_variants_never_share_a_fingerprint(first_run):
    assert len({result["fingerprint"] for result in first_run.extracted.values()}) == 2
