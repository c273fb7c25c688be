import io

import pandas as pd
import pytest
from PIL import Image

from ml.label_report import LabelIssueView, load_labels_view
from ml.plan import store_plan
from ml.storage import dump_json
from ml.tombstones import write_tombstones

IDS = [f"{number:064x}" for number in range(3)]


def issue(image_id):
    names = ("split", "label", "suggested", "label_probability", "suggested_probability")
    return {"image_id": image_id, **dict(zip(names, ("test", "a", "b", 0.1, 0.8), strict=True))}


@pytest.fixture
def write(store):
    """Stores a review of a run with three images, two of whose files are there."""

    def put(**changes):
        for image_id in IDS[:2]:
            stream = io.BytesIO()
            Image.new("L", (40, 40), 90).save(stream, "PNG")
            store.put(f"images/{image_id}.png", stream.getvalue())
        samples = pd.DataFrame({"image_id": IDS, "uri": [f"images/{image_id}.png" for image_id in IDS]})
        store_plan(store, {"run_id": "run"}, samples)
        numbers = {"count": 40, "images": 300, "missing": 2, "unjudged": 1}
        review = numbers | {"variant": "vgg16", "weights": "random", "reason": None, "issues": [], "shown": []}
        store.put("runs/run/label_issues.json", dump_json(review | changes))

    return put


def test_run_that_was_not_reviewed_has_no_such_part(store):
    assert load_labels_view(store, "run") is None


def test_issues_come_in_their_order_with_pictures_where_there_are_some(store, write):
    write(issues=[issue(IDS[2]), issue(IDS[0])])

    view = load_labels_view(store, "run")

    assert (view.count, view.images, view.missing, view.unjudged) == (40, 300, 2, 1)
    lost, shown = view.issues
    assert lost == LabelIssueView(IDS[2], "test", "a", "b", 0.1, 0.8, None)
    assert shown.image_id == IDS[0]
    with Image.open(io.BytesIO(shown.jpeg)) as picture:
        assert picture.format == "JPEG"


def test_image_that_was_forgotten_since_is_left_out(store, write):
    write(issues=[issue(IDS[0]), issue(IDS[1])])
    write_tombstones(store, {"image_ids": [IDS[0]], "pixel_id": None})

    assert [shown.image_id for shown in load_labels_view(store, "run").issues] == [IDS[1]]


def test_what_was_not_looked_at_has_its_reason(store, write):
    write(reason="it takes images of two classes", count=0, images=0)

    view = load_labels_view(store, "run")

    assert (view.reason, view.issues) == ("it takes images of two classes", ())
