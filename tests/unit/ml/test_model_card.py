from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ml.config import CardSettings
from ml.model_card import ModelCard, render_model_card
from ml.page_parts import SplitCounts

ENDS = [0.85, 0.95]
CARD = ModelCard(
    model_name="brain-mri",
    version=7,
    run_id="scheduled__2026-01-01",
    snapshot_id="000003-abc",
    at=datetime(2026, 1, 1, 3, 4, tzinfo=UTC),
    architecture="frozen mobilenet (alpha 0.75) with a multi-head-attention head",
    size=224,
    classes=("glioma", "no|tumour <b>"),
    weights="imagenet",
    temperature=1.25,
    images={"train": 1400, "validation": 300, "test": 300},
    counts=(SplitCounts("glioma", 700, 150, 150), SplitCounts("no|tumour <b>", 700, 150, 150)),
    metrics={
        "accuracy": 0.9,
        "macro_f1": 0.91,
        "calibration_error": 0.02,
        "report": [
            {"label": "glioma", "precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 150},
            {"label": "no|tumour <b>", "precision": 0.95, "recall": 0.96, "f1": 0.955, "support": 150},
        ],
        "intervals": {
            "accuracy": ENDS,
            "macro_f1": None,
            "calibration_error": ENDS,
            "report": [{"precision": ENDS, "recall": None, "f1": ENDS}] * 2,
        },
        "slices": {
            "min_images": 30,
            "attributes": [{"name": "site"}, {"name": "brightness"}],
            "worst": {"attribute": "site", "value": "north", "accuracy": 0.7, "interval": [0.6, 0.8], "images": 40},
        },
    },
    changes={
        "images": 200,
        "clean": {"macro_f1": 0.9},
        "changes": [{"title": "30 % darker", "macro_f1": 0.5, "unmoved": 0.612, "intervals": {"macro_f1": ENDS}}],
    },
    overlays={"overlays": {"attention": {"score": 0.12, "gain": 0.1, "interval": [0.02, 0.19]}}},
    export={"size_mb": 12.34, "latency_ms_p95": 45.6, "machine": "a processor, 2 cores"},
    confounders=[{"attribute": "scanner", "association": 0.61, "images": 1400}],
    reason="Cleared: macro F1: 0.9100, required at least 0.9.",
    own=CardSettings(intended_use="A second look.", confounders=("clinic B scans most pituitary cases",)),
    notices=("The backbones carry random, untrained weights.",),
)


@pytest.fixture(scope="module")
def text():
    return render_model_card(CARD)


def section(text, heading):
    return text.split(f"## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    "heading",
    [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ],
)
def test_card_has_the_usual_headings(text, heading):
    assert section(text, heading).strip()


def test_notices_stand_above_everything(text):
    assert text.index("> **The backbones carry random, untrained weights.**") < text.index("## Model details")


def test_what_people_said_is_there_and_what_they_did_not_say_names_the_setting(text):
    assert "A second look." in section(text, "Intended use")
    assert "Out of scope: Not stated; set `card.out_of_scope`." in section(text, "Intended use")
    assert "set `card.ethics`" in section(text, "Ethical considerations")


def test_confounders_are_those_that_were_stated_and_those_that_were_found(text):
    caveats = section(text, "Caveats and recommendations")

    assert "- clinic B scans most pituitary cases (stated)" in caveats
    assert "- scanner (found; association with the label 0.61 of 1, in 1,400 training images)" in caveats


def test_card_without_confounders_says_so():
    own = CardSettings()

    assert "none stated under `card.confounders`, none found" in render_model_card(
        replace(CARD, own=own, confounders=[])
    )


def test_figures_stand_with_their_intervals(text):
    figures = section(text, "Quantitative analyses")

    assert "| accuracy | 0.900 [0.850, 0.950] |" in figures
    assert "| macro F1 | 0.910 |" in figures
    assert "| 30 % darker | 0.500 [0.850, 0.950] | 61.2 % |" in figures
    assert "+0.100 [0.020, 0.190] against random overlays" in figures
    assert "12.3 MB; one image in 45.6 ms, 95 of 100 times, on a processor, 2 cores." in figures


def test_worst_slice_is_named(text):
    assert "**site north**: accuracy 0.700 [0.600, 0.800] on 40 images" in section(text, "Factors")


def test_a_label_cannot_break_a_table_or_become_a_tag(text):
    row = next(line for line in section(text, "Training data").splitlines() if "tumour" in line)

    assert row == r"| no\|tumour \<b\> | 700 | 150 | 150 |"


def test_what_was_not_looked_at_is_said():
    plain = render_model_card(replace(CARD, changes=None, overlays=None))

    assert "Not measured on changed images (`evaluation.changed_images` is 0)." in plain
    assert "Attention overlays" not in plain
