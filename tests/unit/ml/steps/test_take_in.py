from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml.errors import NotFoundError
from ml.steps import assemble, list_arrivals, take_in

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def chunk(context, put_image):
    """The chunk of an image, of junk, and of an object that vanished."""
    put_image("a", "1.png")
    context.store.put("landing/a/junk.png", b"no image")
    context.store.put("landing/a/vanished.png", b"")
    (name,) = list_arrivals.run(context, "run", NOW)
    context.store.delete("landing/a/vanished.png")
    return name


def test_a_chunk_is_taken_in_whole(context, chunk):
    assert take_in.run(context, "run", chunk) == {"chunk": chunk, "accepted": 1, "quarantined": 1, "vanished": 1}


def test_what_was_taken_in_is_not_read_again(context, chunk):
    first = take_in.run(context, "run", chunk)
    for info in list(context.store.list("landing/")):
        context.store.delete(info.key)

    assert take_in.run(context, "run", chunk) == first


def test_a_chunk_that_was_not_taken_in_is_named(context, chunk):
    with pytest.raises(NotFoundError, match=f"The chunk {chunk} has not been taken in"):
        assemble.run(context, "run")
