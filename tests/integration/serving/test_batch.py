"""Many images through a real server: order, rows of those that cannot be answered, and how far it reads ahead."""

from __future__ import annotations

import io
import time

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest

from contract_model import COLOURS, expected
from ml.errors import ServingError
from serving.batch import GROUP_IMAGES, IN_FLIGHT, Item, Row, Target, file_item, find_target, predict_items
from serving.client import GrpcClient, ModelNotFoundError, RestClient
from serving.prediction_table import writing_predictions


def encode(pixels):
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def pixels_of(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def item(seed):
    data = encode(pixels_of(seed))
    return Item(f"{seed}.png", len(data), lambda: data)


@pytest.fixture(params=["grpc", "rest"])
def client(request, contract_server):
    kind, port = (
        (GrpcClient, contract_server.grpc_port) if request.param == "grpc" else (RestClient, contract_server.rest_port)
    )
    with kind(contract_server.host, port, contract_server.name) as client:
        yield client


def test_a_target_is_the_version_and_its_classes(client, labelled):
    assert find_target(client) == Target(4, COLOURS, tells_status=True)
    with GrpcClient("127.0.0.1", labelled.grpc_port, labelled.name, label="stable") as other:
        assert find_target(other).version == 4
        assert find_target(other, label="canary").version == 5
        assert find_target(other, version=5).version == 5


def test_rows_come_in_the_order_of_the_images(client):
    target = find_target(client)

    rows = list(predict_items(client, target, map(item, range(100))))

    assert [row.name for row in rows] == [f"{seed}.png" for seed in range(100)]
    found = np.array([row.prediction.probabilities for row in rows])
    np.testing.assert_allclose(found, [expected(pixels_of(seed)) for seed in range(100)], atol=1e-6)
    assert {row.prediction.version for row in rows} == {4}


def test_no_more_is_read_ahead_than_what_is_in_flight(client):
    read = []

    def watched():
        for seed in range(500):
            read.append(seed)
            yield item(seed % 10)

    rows = predict_items(client, find_target(client), watched())
    ahead = 0
    for number, _ in enumerate(rows):
        ahead = max(ahead, len(read) - number)
    assert len(read) == 500
    assert ahead <= (2 * IN_FLIGHT + 3) * GROUP_IMAGES


def test_what_cannot_be_answered_gets_a_row_with_the_reason(client, tmp_path):
    good, broken, large = tmp_path / "good.png", tmp_path / "broken.png", tmp_path / "large.png"
    good.write_bytes(encode(pixels_of(1)))
    broken.write_bytes(b"no image")
    large.write_bytes(bytes(10_001))
    paths = [broken, good, tmp_path / "missing.png", large]

    rows = list(predict_items(client, find_target(client), [file_item(path, path.name, 10_000) for path in paths]))

    assert [(row.name, row.status, row.ok) for row in rows] == [
        ("broken.png", "UNDECODABLE", False),
        ("good.png", "OK", True),
        ("missing.png", "UNREADABLE", False),
        ("large.png", "TOO_LARGE", False),
    ]


def test_a_version_that_is_not_served_ends_the_batch(client):
    with pytest.raises(ModelNotFoundError, match="8"):
        list(predict_items(client, Target(8, COLOURS, tells_status=True), [item(1)]))


def test_an_older_export_refuses_images_that_do_not_decode_and_no_others(classifier_server):
    bad = Item("bad", 3, lambda: b"bad")
    with GrpcClient("127.0.0.1", classifier_server.grpc_port, "classifier") as client:
        target = find_target(client, classes=("round", "square", "star"))
        rows = list(predict_items(client, target, [item(1), bad, item(2), bad]))

    assert not target.tells_status
    assert [row.status for row in rows] == ["OK", "UNDECODABLE", "OK", "UNDECODABLE"]


@pytest.mark.parametrize(
    ("known", "classes"), [(("round", "square", "star"),) * 2, (("a", "b"), ("0", "1", "2")), ((), ("0", "1", "2"))]
)
def test_classes_of_an_older_export_are_those_of_the_settings_or_numbers(classifier_server, known, classes):
    with GrpcClient("127.0.0.1", classifier_server.grpc_port, "classifier") as client:
        assert find_target(client, classes=known).classes == classes


def test_a_model_that_is_no_classifier_is_refused(several_server):
    with (
        GrpcClient("127.0.0.1", several_server.grpc_port, "several") as client,
        pytest.raises(ServingError, match="classifies no images"),
    ):
        find_target(client)


def test_rows_are_written_as_a_table(client, tmp_path):
    target = find_target(client)
    rows = [*predict_items(client, target, [item(1), Item("x", 1, lambda: b"x"), item(2)])]

    with writing_predictions(tmp_path / "out.parquet", target, "colours") as write:
        for row in rows:
            write(row)

    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    probabilities = expected(pixels_of(1))
    first = table[0]
    assert (first["file"], first["status"], first["version"], first["model"]) == ("1.png", "OK", 4, "colours")
    assert first["class_id"] == probabilities.argmax()
    assert first["class_name"] == COLOURS[first["class_id"]]
    np.testing.assert_allclose([first[f"p_{name}"] for name in COLOURS], probabilities, atol=1e-6)
    assert first["probability"] == max(first[f"p_{name}"] for name in COLOURS)
    assert table[1] == {
        "file": "x",
        "class_name": None,
        "class_id": None,
        "probability": None,
        **{f"p_{name}": None for name in COLOURS},
        "status": "UNDECODABLE",
        "version": 4,
        "model": "colours",
    }


def test_a_table_that_is_not_finished_does_not_appear(tmp_path):
    target = Target(4, COLOURS, tells_status=True)

    def write_half():
        with writing_predictions(tmp_path / "out.parquet", target, "colours") as write:
            for number in range(2500):
                write(Row(str(number), "UNDECODABLE"))
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_half()

    assert list(tmp_path.iterdir()) == []


def test_several_requests_are_in_flight(contract_server):
    """Reading takes 20 ms an image here, which four threads share."""

    def slow(seed):
        ready = item(seed)

        def read():
            time.sleep(0.02)
            return ready.read()

        return Item(ready.name, ready.size, read)

    with GrpcClient("127.0.0.1", contract_server.grpc_port, "colours") as client:
        target = find_target(client)
        started = time.monotonic()
        rows = list(predict_items(client, target, map(slow, range(128))))
        seconds = time.monotonic() - started

    assert len(rows) == 128
    assert seconds < 128 * 0.02
