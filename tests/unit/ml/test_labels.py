import pytest

from ml.errors import DataError
from ml.images import RefusedImageError
from ml.labels import Labeller, LabelsFile, read_labels


def read(text):
    return read_labels(text.encode())


@pytest.fixture
def labeller(make_settings):
    """Settings as a nested dict, and the text of labels.csv."""

    def made(overrides=None, text=None):
        return Labeller(make_settings(overrides), read(text) if text else LabelsFile())

    return made


def refusal(labeller, key):
    with pytest.raises(RefusedImageError) as caught:
        labeller.label(key)
    return caught.value.reason, caught.value.detail


def test_labels_and_groups_are_read_by_key():
    file = read("key,label,group\na/1.png,glioma,p1\nlanding/b.png,notumor,\n")

    assert file.labels == {"a/1.png": "glioma", "b.png": "notumor"}
    assert file.groups == {"a/1.png": "p1"}
    assert file.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffkey,label\nä.png,glioma\n",
        "key,label\r\nä.png,glioma\r\n",
        " key , label \nä.png , glioma \n",
        'label,key\nglioma,"ä.png"\n',
    ],
    ids=["byte order mark", "carriage returns", "blanks", "other order and quotes"],
)
def test_tables_of_other_programs_are_read(text):
    assert read(text).labels == {"ä.png": "glioma"}


def test_columns_that_are_not_read_are_named():
    assert read("key,label,age,site\na.png,glioma,50,x\n").notes == (
        "labels.csv has columns that are not read: age, site",
    )


def test_a_key_named_twice_is_noted_and_only_a_contradiction_counts():
    file = read("key,label\na.png,x\na.png,x\nb.png,x\nb.png,y\n")

    assert file.notes == ("labels.csv names a.png, b.png more than once",)
    assert file.contradicted == {"b.png"}


def test_many_keys_named_twice_are_counted():
    lines = "".join(f"{number}.png,x\n" * 2 for number in range(9))

    assert read(f"key,label\n{lines}").notes == (
        "labels.csv names 0.png, 1.png, 2.png, 3.png, 4.png and 4 others more than once",
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"has the columns \(none\)"),
        (b"file,label\na,b\n", "has the columns file, label"),
        (b"key\na\n", "has the columns key"),
        (b"key,label,label\na,b,c\n", "has the columns key, label, label"),
        (b"key,label\na\n", "Line 2 .* does not have one value a column"),
        (b"key,label\na,b\nc,d,e\n", "Line 3 .* does not have one value a column"),
        (b"key,label\n ,b\n", "Line 2 .* or no key"),
        (b'key,label\n"a,b\n', "is not a comma-separated table"),
        (b"key,label\n\xff,b\n", "in UTF-8"),
    ],
    ids=["empty", "no key", "key alone", "twice", "too few", "too many", "blank key", "open quote", "not UTF-8"],
)
def test_what_is_no_such_table_is_refused_with_the_place_and_the_remedy(data, message):
    with pytest.raises(DataError, match=rf"{message}.* Remedy: "):
        read_labels(data)


def test_the_folder_is_the_label(labeller):
    assert labeller().label("landing/glioma/deep/1.png") == "glioma"


def test_labels_csv_wins_over_the_folder_and_needs_none(labeller):
    labels = labeller(text="key,label,group\nglioma/1.png,notumor,p1\n2.png,glioma,\nglioma/3.png,,p3\n")

    assert labels.label("landing/glioma/1.png") == "notumor"
    assert labels.label("landing/2.png") == "glioma"
    assert labels.label("landing/glioma/3.png") == "glioma"
    assert [labels.group(f"landing/{key}") for key in ("glioma/1.png", "2.png", "glioma/3.png")] == ["p1", None, "p3"]


def test_an_alias_stands_for_the_label_that_is_meant(labeller):
    settings = {"classes": ["glioma", "notumor"], "landing": {"aliases": {"no_tumor": "notumor"}}}
    labels = labeller(settings, "key,label\nx.png,no_tumor\n")

    assert labels.label("landing/no_tumor/1.png") == labels.label("landing/x.png") == "notumor"


@pytest.mark.parametrize(
    ("key", "reason", "detail"),
    [
        ("landing/1.png", "no_label", "it lies in no folder"),
        ("landing/gliomas/1.png", "unknown_label", "'gliomas' is none of glioma, notumor"),
        ("landing/glioma/two.png", "contradictory_label", "labels.csv says two different things"),
    ],
    ids=["no folder", "not declared", "contradiction"],
)
def test_a_label_that_is_not_clear_is_refused(labeller, key, reason, detail):
    labels = labeller({"classes": ["glioma", "notumor"]}, "key,label\nglioma/two.png,glioma\nglioma/two.png,notumor\n")
    found = refusal(labels, key)

    assert found[0] == reason
    assert detail in found[1]


def test_every_label_is_taken_when_they_are_to_be_discovered(labeller):
    assert labeller({"classes": "discover"}).label("landing/new/1.png") == "new"
