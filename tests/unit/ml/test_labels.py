import pytest

from ml.errors import DataError
from ml.images import RefusedImageError
from ml.labels import Labeller, LabelsFile, read_labels


def read(text, *attributes):
    return read_labels(text.encode(), attributes)


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
        "labels.csv has columns that are not read: age, site; landing.attributes lists those to be kept",
    )


def test_attributes_are_kept_as_they_are_written_and_no_other_column_is():
    file = read("key,label,site,name,sex\na.png,x,Ulm ,Ann,f\nlanding/b.png,x,,Bob,m\n", "sex", "site")

    assert file.attributes.reset_index().to_dict("list") == {
        "key": ["landing/a.png", "landing/b.png"],
        "sex": ["f", "m"],
        "site": ["Ulm", ""],
    }
    assert file.notes == ("labels.csv has columns that are not read: name; landing.attributes lists those to be kept",)


def test_an_attribute_without_a_column_is_noted():
    file = read("key,label,site\na.png,x,Ulm\n", "scanner", "site", "sex")

    assert list(file.attributes) == ["site"]
    assert file.notes == ("labels.csv lacks columns that landing.attributes lists: scanner, sex",)


def test_lines_that_differ_in_an_attribute_are_all_kept_and_contradict_no_label():
    file = read("key,label,site\na.png,x,Ulm\na.png,x,Bonn\n", "site")

    assert file.attributes.loc["landing/a.png", "site"].tolist() == ["Ulm", "Bonn"]
    assert file.contradicted == frozenset()


@pytest.mark.parametrize("value", ["x" * 121, "a\x1bb", '"a\nb"'], ids=["too long", "escape", "line break"])
def test_a_value_that_is_no_short_text_is_refused_with_its_line(value):
    text = f"key,label,site\na.png,x,{'x' * 120}\nb.png,x,{value}\n"

    with pytest.raises(DataError, match=r"Line 3 of landing/labels\.csv has a value of site .* Remedy: Mend the line"):
        read(text, "site")
    assert read(text).labels == {"a.png": "x", "b.png": "x"}


def test_an_attribute_of_very_many_values_is_noted():
    lines = "".join(f"{number}.png,x,{number},{number % 200}\n" for number in range(201))

    assert read(f"key,label,patient,site\n{lines}", "patient", "site").notes == (
        "labels.csv has 201 different values of patient: an attribute is something that many images share",
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
