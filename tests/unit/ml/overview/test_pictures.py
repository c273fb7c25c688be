from bench.decided import CLASSES
from ml.page_parts import CANDIDATE_FIGURES
from ml.storage import dump_json, read_json


def test_without_a_champion_there_are_no_pictures(look):
    pictures = look().pictures

    assert (pictures.run_id, pictures.figures, pictures.confusion, pictures.problem) == ("", (), None, "")


def test_pictures_are_those_of_the_champions_own_run(look, story, store):
    pictures = look().pictures

    assert (pictures.run_id, pictures.variant) == ("two", "mobilenet")
    assert [(one.name, one.title, one.alt) for one in pictures.figures] == list(CANDIDATE_FIGURES)
    assert all(store.head(one.key) for one in pictures.figures)
    assert [one.name for one in pictures.figures if one.wide] == ["attention.png"]
    assert pictures.removed == ()


def test_pictures_of_the_examination_are_among_them(look, story, store):
    store.put("runs/two/mobilenet/changes.png", b"a picture")

    assert look().pictures.figures[-1].title == "Changed images"


def test_picture_that_went_with_a_forgotten_image_is_said_to_be_gone(look, story, store):
    store.delete("runs/two/mobilenet/attention.png")

    pictures = look().pictures

    assert pictures.removed == ("Attention and evidence",)
    assert "attention.png" not in [one.name for one in pictures.figures]
    assert pictures.problem == ""


def test_picture_that_was_never_drawn_is_not_missed(look, story, store):
    evaluation = read_json(store, "runs/two/evaluation.json")
    evaluation["leaderboard"][0]["figures"].remove("curves.png")
    store.put("runs/two/evaluation.json", dump_json(evaluation))
    store.delete("runs/two/mobilenet/curves.png")

    assert look().pictures.removed == ()


def test_confusion_matrix_has_its_numbers(look, story, store):
    confusion = look().pictures.confusion
    metrics = read_json(store, "runs/two/evaluation.json")["leaderboard"][0]["metrics"]

    assert confusion.classes == CLASSES
    assert [list(row) for row in confusion.counts] == metrics["confusion"]
    assert [[list(cell) for cell in row] for row in confusion.intervals] == metrics["intervals"]["confusion"]
    assert sum(map(sum, confusion.counts)) == metrics["images"]


def test_champion_without_an_evaluation_keeps_its_pictures(look, story, store):
    store.delete("runs/two/evaluation.json")

    pictures = look().pictures

    assert len(pictures.figures) == len(CANDIDATE_FIGURES)
    assert pictures.confusion is None
    assert "The evaluation of run two cannot be read" in pictures.problem


def test_evaluation_that_lacks_the_champion_is_said_to(look, story, store):
    evaluation = read_json(store, "runs/two/evaluation.json")
    store.put("runs/two/evaluation.json", dump_json(evaluation | {"leaderboard": evaluation["leaderboard"][1:]}))

    assert "Run two has no candidate 'mobilenet'" in look().pictures.problem
