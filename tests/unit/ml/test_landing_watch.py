from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import DataError
from ml.landing_watch import PATIENCE, UNHEEDED, LandingWatch, News, Patience, Told, announce, find_news
from ml.sightings import Seen, Sightings
from ml.steps import list_arrivals
from ml.storage import ObjectInfo

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = "landing/labels.csv"


def listing(objects):
    return [ObjectInfo(key, 10, etag, NOW) for key, etag in sorted(objects.items())]


def ingest(objects, etag="record"):
    """What an ingest that lists these objects leaves."""
    sightings = Sightings(objects.get(LABELS))
    for info in listing(objects):
        sightings.add(info)
    return Seen(sightings.record(), etag)


def news(digest="a", record="record"):
    return News(objects=1, bytes=10, labels=False, listed=1, digest=digest, record=record)


ONE, TWO = "landing/a/1.png", "landing/a/2.png"


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        pytest.param({}, {}, None, id="empty"),
        pytest.param({ONE: "1"}, {ONE: "1"}, None, id="unchanged"),
        pytest.param({ONE: "1"}, {ONE: "1", TWO: "1"}, (1, 10, False), id="new"),
        pytest.param({ONE: "1"}, {ONE: "2"}, (1, 10, False), id="other bytes under the same key"),
        pytest.param({ONE: "1", TWO: "1"}, {TWO: "1"}, None, id="removed"),
        pytest.param({ONE: "1"}, {}, None, id="all removed"),
        pytest.param({ONE: "1"}, {ONE: "1", LABELS: "1"}, (0, 0, True), id="labels come"),
        pytest.param({ONE: "1", LABELS: "1"}, {ONE: "1", LABELS: "2"}, (0, 0, True), id="labels change"),
        pytest.param({ONE: "1", LABELS: "1"}, {ONE: "1"}, (0, 0, True), id="labels go"),
        pytest.param({ONE: "1", LABELS: "1"}, {LABELS: "2", TWO: "1"}, (1, 10, True), id="all at once"),
    ],
)
def test_news_is_what_the_newest_ingest_has_not_seen(before, now, found):
    result = find_news(listing(now), ingest(before))

    assert (None if result is None else (result.objects, result.bytes, result.labels)) == found


def test_before_the_first_ingest_images_are_news_and_labels_alone_are_none():
    assert find_news(listing({LABELS: "1"}), Seen()) is None
    assert find_news(listing({}), Seen()) is None
    found = find_news(listing({LABELS: "1", ONE: "1"}), Seen())
    assert (found.objects, found.labels, found.listed, found.record) == (1, True, 2, "")


def test_digest_changes_with_what_is_new_and_with_nothing_else():
    seen = ingest({ONE: "1"})
    first = find_news(listing({ONE: "1", TWO: "1"}), seen)

    assert find_news(listing({TWO: "1"}), seen).digest == first.digest
    assert find_news(listing({ONE: "1", TWO: "2"}), seen).digest != first.digest
    assert find_news(listing({ONE: "1", TWO: "1", LABELS: "1"}), seen).digest != first.digest


def test_news_is_told_once_it_has_rested_for_a_pass_and_only_once():
    patience = Patience()

    assert [patience.hear(news()) for _ in range(3 * PATIENCE)] == [False, True, *[False] * (3 * PATIENCE - 2)]


def test_a_batch_that_is_still_uploaded_waits():
    patience = Patience()

    assert [patience.hear(news(digest)) for digest in "abcdd"] == [False, False, False, False, True]


def test_a_landing_zone_that_never_rests_is_not_waited_for_for_ever():
    patience = Patience()
    told = [patience.hear(news(str(number), record=str(number))) for number in range(3 * PATIENCE)]

    assert [number for number, now in enumerate(told, start=1) if now] == [PATIENCE, 2 * PATIENCE, 3 * PATIENCE]


def test_what_comes_before_the_ingest_has_looked_is_left_to_it_for_a_while():
    patience = Patience()
    patience.hear(news("a"))
    patience.hear(news("a"))
    told = [patience.hear(news("b")) for _ in range(2 * PATIENCE)]

    assert told.index(True) == PATIENCE - 1
    assert told.count(True) == 1


def test_what_comes_after_the_ingest_has_looked_is_told_as_soon_as_it_rests():
    patience = Patience()
    patience.hear(news("a"))
    patience.hear(news("a"))

    assert [patience.hear(news("b", record="next")) for _ in range(2)] == [False, True]


def test_a_restart_does_not_tell_again():
    patience = Patience(Told("a", "record"))

    assert not any(patience.hear(news("a")) for _ in range(3 * PATIENCE))


def test_what_no_ingest_has_looked_at_for_long_is_told_again_and_again():
    patience = Patience(Told("a", "record"))

    told = [number for number in range(1, 2 * UNHEEDED + 1) if patience.hear(news("a"))]

    assert told == [UNHEEDED, 2 * UNHEEDED]


def test_what_an_ingest_has_looked_at_and_left_is_not_told_again():
    patience = Patience(Told("a", "record"))

    assert not any(patience.hear(news("a", record="next")) for _ in range(2 * UNHEEDED))


EVENTS = st.lists(st.sampled_from(["new", "change", "remove", "labels", "pass", "pass", "pass", "ingest"]), max_size=60)


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_whatever_people_do_all_of_it_is_told_and_nothing_twice(events):
    objects: dict[str, str] = {}
    seen, patience, clock, tells = Seen(), Patience(), 0, []

    def one_pass():
        found = find_news(listing(objects), seen)
        if patience.hear(found):
            tells.append((clock, found))

    for number, event in enumerate(events):
        if event == "new":
            objects[f"landing/a/{number}.png"] = "1"
        elif event == "change" and objects:
            objects[min(objects)] = f"changed {number}"
        elif event == "remove" and objects:
            del objects[max(objects)]
        elif event == "labels":
            objects[LABELS] = str(number)
        elif event == "ingest":
            seen = ingest(objects, etag=str(number))
        elif event == "pass":
            clock += 1
            one_pass()
    for _ in range(2 * PATIENCE + 2):
        clock += 1
        one_pass()

    left = find_news(listing(objects), seen)
    assert left is None or patience.is_told(left)
    for (earlier, first), (later, second) in pairwise(tells):
        assert first.digest != second.digest
        assert first.record != second.record or later - earlier >= PATIENCE


@pytest.fixture
def watch(context, tmp_path, monkeypatch):
    """Makes watches of the store in tmp_path, as a fresh process does."""
    (tmp_path / "quartet.yaml").write_text(f"store: {{url: {tmp_path / 'store'}}}\n")
    monkeypatch.setenv("QUARTET_CONFIG", str(tmp_path / "quartet.yaml"))
    return LandingWatch


def looks(watch, times=4):
    return [None if (found := watch.look()) is None else found.objects for _ in range(times)]


def test_images_are_told_once_and_never_after_the_ingest(context, watch, put_image):
    watching = watch()
    before = looks(watching)
    put_image("a", "1.png")
    told = looks(watching)
    list_arrivals.run(context, "by-hand", NOW)

    assert (before, told, looks(watching), looks(watch())) == (
        [None] * 4,
        [None, 1, None, None],
        [None] * 4,
        [None] * 4,
    )


def test_an_ingest_by_hand_leaves_nothing_to_tell(context, watch, put_image):
    watching = watch()
    put_image("a", "1.png")
    watching.look()
    list_arrivals.run(context, "by-hand", NOW)

    assert looks(watching) == [None] * 4


def test_other_bytes_under_the_same_key_are_told(context, watch, put_image):
    put_image("a", "1.png")
    list_arrivals.run(context, "first", NOW)
    put_image("a", "1.png", seed=1)

    assert looks(watch()) == [None, 1, None, None]


def test_a_restart_after_the_telling_does_not_tell_again(watch, put_image):
    put_image("a", "1.png")

    assert (looks(watch()), looks(watch())) == ([None, 1, None, None], [None] * 4)


def test_killed_right_after_the_telling_it_is_told_again(watch, put_image):
    put_image("a", "1.png")

    assert (looks(watch(), 2), looks(watch(), 2)) == ([None, 1], [None, 1])


def test_an_unchanged_landing_zone_is_listed_and_nothing_else(context, watch, put_image, monkeypatch):
    put_image("a", "1.png")
    list_arrivals.run(context, "first", NOW)
    watching = watch()
    watching.look()
    asked = []
    for name in ("get_with_etag", "put", "head", "list"):
        method = getattr(type(context.store), name)
        monkeypatch.setattr(
            type(context.store),
            name,
            lambda self, *rest, _of=method, _name=name: asked.append(_name) or _of(self, *rest),
        )

    looks(watching, 3)

    assert asked == ["list"] * 3


def test_whoever_announces_an_ingest_by_hand_is_left_to_it(context, watch, put_image):
    watching = watch()
    watching.look()
    put_image("a", "1.png")
    watching.look()
    announced = announce(context.store)

    assert announced.objects == 1
    assert looks(watching) == [None] * 4
    put_image("a", "2.png")
    list_arrivals.run(context, "by-hand", NOW)
    put_image("a", "3.png")
    assert looks(watching) == [None, 1, None, None]


def test_with_nothing_new_there_is_nothing_to_announce(context, put_image):
    put_image("a", "1.png")
    list_arrivals.run(context, "first", NOW)

    assert announce(context.store) is None
    assert context.store.head("arrivals/told.json") is None


def test_another_store_in_the_settings_is_watched_from_then_on(watch, put_image, tmp_path):
    put_image("a", "1.png")
    watching = watch()
    assert looks(watching) == [None, 1, None, None]
    (tmp_path / "store").rename(tmp_path / "moved")
    (tmp_path / "moved/arrivals/told.json").unlink()
    (tmp_path / "quartet.yaml").write_text(f"store: {{url: {tmp_path / 'moved'}}}\n")

    assert looks(watching) == [None, 1, None, None]


def test_a_watch_that_is_stopped_tells_nothing(context, watch, put_image):
    for number in range(3):
        put_image("a", f"{number}.png")
    answers = iter([False, False, True])
    watching = LandingWatch(lambda: next(answers, True))

    assert looks(watching) == [None] * 4


def test_what_is_beyond_the_most_chunks_is_told_after_the_ingest(context, watch, put_image, make_settings, monkeypatch):
    monkeypatch.setattr(list_arrivals, "MAX_CHUNKS", 2)
    for number in range(5):
        put_image("a", f"{number}.png", seed=number)
    tight = replace(context, settings=make_settings({"landing": {"chunk_size": 2}}))
    watching = watch()
    assert looks(watching) == [None, 5, None, None]
    list_arrivals.run(tight, "first", NOW)

    assert looks(watching) == [None, 1, None, None]


def test_an_ingest_that_failed_at_labels_csv_has_seen_nothing_and_the_mended_table_is_told(
    context, watch, store, put_image
):
    put_image("a", "1.png")
    store.put(LABELS, b"no table")
    watching = watch()
    assert looks(watching) == [None, 1, None, None]
    with pytest.raises(DataError, match="has the columns no table"):
        list_arrivals.run(context, "first", NOW)
    after_failure = looks(watching)
    store.put(LABELS, b"key,label\na/1.png,b\n")

    assert after_failure == [None] * 4
    assert [one for one in looks(watching, PATIENCE) if one is not None] == [1]
