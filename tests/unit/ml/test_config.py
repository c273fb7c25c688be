from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from ml.config import ApprovalSettings, Settings, load_settings
from ml.errors import ConfigError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def write(tmp_path):
    """Writes a settings file."""

    def written(text):
        path = tmp_path / "quartet.yaml"
        path.write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
        return path

    return written


@pytest.fixture
def load(write):
    """Settings from a document and variables."""
    return lambda document=None, **variables: load_settings(write(document or {}), variables)


def test_without_a_file_and_variables_there_are_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={})

    assert settings == Settings()
    assert (settings.store.url, settings.classes, settings.images.size) == ("var/store", "discover", 224)
    assert list(settings.variants) == ["vgg16", "vgg19", "mobilenet", "xception"]
    assert (settings.split.train, settings.split.validation, settings.split.test) == (0.7, 0.15, 0.15)
    assert settings.gate.min_macro_f1 is None


def test_the_file_in_the_working_folder_is_read(write, monkeypatch):
    monkeypatch.chdir(write({"model_name": "found"}).parent)

    assert load_settings(environ={}).model_name == "found"


def test_a_variable_may_name_the_file(write):
    path = write({"model_name": "named"})

    assert load_settings(environ={"QUARTET_CONFIG": str(path)}).model_name == "named"


def test_a_path_comes_before_the_variable(write, tmp_path):
    path = write({"model_name": "given"})

    assert load_settings(path, {"QUARTET_CONFIG": str(tmp_path / "missing.yaml")}).model_name == "given"


def test_an_empty_file_gives_the_defaults(write):
    assert load_settings(write("# nothing is set\n"), {}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "section", "value"),
    [
        ("QUARTET__TRAIN__EPOCHS", "30", "train.epochs", 30),
        ("QUARTET__TRAIN__LEARNING_RATE", "1e-3", "train.learning_rate", 0.001),
        ("QUARTET__WEIGHTS__DOWNLOAD", "no", "weights.download", False),
        ("QUARTET__STORE__ENDPOINT_URL", "null", "store.endpoint_url", None),
        ("QUARTET__CLASSES", "[a, b]", "classes", ("a", "b")),
        ("QUARTET__MODEL_NAME", "other", "model_name", "other"),
        ("QUARTET__TRAIN", "{epochs: 3}", "train.epochs", 3),
    ],
)
def test_a_variable_overrides_one_setting(load, name, text, section, value):
    settings = load({"train": {"epochs": 5, "patience": 2}, "store": {"endpoint_url": "http://there"}}, **{name: text})
    found = settings
    for part in section.split("."):
        found = getattr(found, part)

    assert found == value
    assert settings.train.patience == 2


def test_a_variable_reaches_into_a_variant(load):
    document = {"variants": {"wide": {"backbone": "mobilenet"}, "slim": {"backbone": "mobilenet", "alpha": 0.25}}}
    variants = load(document, QUARTET__VARIANTS__SLIM__ALPHA="0.5").variants

    assert [(name, variant.alpha) for name, variant in variants.items()] == [("wide", None), ("slim", 0.5)]


def test_other_variables_are_left_alone(load):
    assert load(None, QUARTET_AIRFLOW_PORT="1", QUARTETS__A="1", PATH="/bin") == Settings()


@pytest.mark.parametrize(
    ("document", "unknown", "known"),
    [
        ({"modelname": "m"}, "modelname", "alerts, artifact_uri, augment, candidates, card, classes"),
        ({"train": {"epoch": 3}}, "train.epoch", "attention, batch_size, checkpoint_seconds, dropout, epochs"),
        ({"variants": {"slim": {"backbone": "vgg16", "width": 1}}}, "variants.slim.width", "alpha, backbone."),
        ({"weights": {"origin": "random"}}, "weights.origin", "download, mirror, seed, sha256, source"),
    ],
    ids=["top", "section", "variant", "weights"],
)
def test_an_unknown_key_is_named_with_the_known_ones(load, document, unknown, known):
    with pytest.raises(ConfigError, match=f"unknown setting '{unknown}'.* Remedy: Known there: {known}"):
        load(document)


def test_an_unknown_key_in_a_variable_is_named_too(load):
    with pytest.raises(ConfigError, match=r"unknown setting 'train\.epoch'.* epochs"):
        load(None, QUARTET__TRAIN__EPOCH="3")


def test_every_mistake_is_told_at_once(load):
    with pytest.raises(ConfigError, match=r"train\.epochs = 0.*unknown setting 'colour'"):
        load({"colour": 1, "train": {"epochs": 0}})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"images": {"size": 16}}, "images.size = 16: Input should be greater than or equal to 32"),
        ({"train": {"dropout": 1.0}}, "train.dropout = 1.0: Input should be less than 1"),
        ({"train": {"epochs": "many"}}, "train.epochs = 'many': "),
        ({"train": None}, "train = None: "),
        (
            {"train": {"imbalance": "smote"}},
            "train.imbalance = 'smote': Input should be 'random_over', 'class_weight' or 'none'",
        ),
        ({"train": {"schedule": "steps"}}, "train.schedule = 'steps': Input should be 'cosine' or 'constant'"),
        ({"gate": {"min_macro_f1": 1.5}}, "gate.min_macro_f1 = 1.5: "),
        ({"weights": "pretrained"}, "weights.source = 'pretrained': Input should be 'imagenet' or 'random'"),
        ({"model_name": "Brain MRI"}, "model_name = 'Brain MRI': "),
        ({"serving": {"grpc_port": 70000}}, "serving.grpc_port = 70000: "),
        ({"validation": {"min_contrast": float("nan")}}, "validation.min_contrast = nan: "),
        (
            {"validation": {"min_brightness": 9, "max_brightness": 9}},
            "min_brightness (9) must be below max_brightness (9)",
        ),
        ({"validation": {"tolerated_share": 1.5}}, "validation.tolerated_share = 1.5: "),
        ({"gate": {"max_latency_ms": 0}}, "gate.max_latency_ms = 0: "),
        ({"candidates": {"ensemble_size": 1}}, "candidates.ensemble_size = 1: "),
        ({"candidates": {"promote_ablation": True}}, "promote_ablation needs ablation: true"),
        ({"candidates": {"ablation": True}, "train": {"warm_start": True}}, "set train.warm_start to false"),
        ({"candidates": {"ablation": True}, "train": {"attention": False}}, "set train.attention to true"),
        ({"variants": {}}, "variants = {}: "),
        ({"variants": {"ensemble": {"backbone": "vgg16"}}}, "a variant cannot be called 'ensemble'"),
        ({"variants": {"a-no-attention": {"backbone": "vgg16"}}}, "a variant cannot be called 'a-no-attention'"),
        ({"variants": {"VGG 16": {"backbone": "vgg16"}}}, "'VGG 16': "),
        ({"variants": {"slim": {"alpha": 0.5}}}, "variants.slim.backbone = {'alpha': 0.5}: Field required"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_setting(load, document, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        load(document)
    assert "quartet config --schema" in error.value.remedy


@pytest.mark.parametrize("classes", [["a"], ["a", "b", "a"], []])
def test_classes_must_be_two_or_more_different_names(load, classes):
    with pytest.raises(ConfigError, match=re.escape(f"two or more different names, or 'discover', not {classes}")):
        load({"classes": classes})


def test_classes_keep_their_order(load):
    assert load({"classes": ["b", "c", "a"]}).classes == ("b", "c", "a")


def test_attributes_are_names_of_columns(load):
    variable = load(QUARTET__LANDING__ATTRIBUTES="[site, scanner]")

    assert variable == load({"landing": {"attributes": [" site ", "scanner"]}})
    assert variable.landing.attributes == ("site", "scanner")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["site", "label"], "'label' is no attribute: key, label, group, image_id have a meaning of their own"),
        (["site", "sex", "site "], "'site' is named twice"),
        (["a\tb"], "landing.attributes.0"),
        ([" "], "landing.attributes.0"),
        (["x" * 61], "landing.attributes.0"),
    ],
    ids=["a column of Quartet's", "twice", "control character", "blank", "too long"],
)
def test_what_cannot_be_an_attribute_is_refused(load, names, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load({"landing": {"attributes": names}})


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": 0.8}, "must be 1, not 1.1"),
        ({"train": 0.5, "validation": 0.2, "test": 0.2}, "must be 1, not 0.9"),
        ({"train": 0.85, "validation": 0.15, "test": 0}, "each of train, validation and test must be above 0"),
    ],
)
def test_shares_must_sum_to_one_and_leave_none_out(load, split, message):
    with pytest.raises(ConfigError, match=message):
        load({"split": split})


def test_shares_may_carry_rounding(load):
    assert load({"split": {"train": 0.1 + 0.2, "validation": 0.3, "test": 0.4}}).split.test == 0.4


@pytest.mark.parametrize("source", ["random", "imagenet"])
def test_weights_may_be_one_word(load, source):
    assert load({"weights": source}) == load({"weights": {"source": source}})


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        ({"weights": "random"}, {"QUARTET__WEIGHTS__SEED": "3"}),
        ({"weights": {"seed": 3}}, {"QUARTET__WEIGHTS": "random"}),
        ({}, {"QUARTET__WEIGHTS": "random", "QUARTET__WEIGHTS__SEED": "3"}),
    ],
    ids=["word in the file", "word in a variable", "both in variables"],
)
def test_one_word_for_weights_goes_with_settings_beside_it(load, document, variables):
    weights = load(document, **variables).weights

    assert (weights.source, weights.seed) == ("random", 3)


@pytest.mark.parametrize("named", [True, False], ids=["by variable", "by path"])
def test_a_file_that_is_not_there_is_named(tmp_path, named):
    path = tmp_path / "missing.yaml"

    with pytest.raises(ConfigError, match=f"no settings file {path}.* Remedy: Write one, or unset QUARTET_CONFIG"):
        load_settings(None if named else path, {"QUARTET_CONFIG": str(path)} if named else {})


@pytest.mark.parametrize(
    "content", [b"train: [1, 2", b"a: b: c", b"model_name: caf\xe9"], ids=["open", "nested", "latin-1"]
)
def test_a_file_that_is_not_yaml_is_named(tmp_path, content):
    path = tmp_path / "quartet.yaml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=f"{path} is not YAML"):
        load_settings(path, {})


@pytest.mark.parametrize(("text", "kind"), [("- a\n- b\n", "list"), ("word", "str"), ("3", "int")])
def test_a_file_must_hold_keys_and_values(write, text, kind):
    with pytest.raises(ConfigError, match=f"must hold keys and values, not a {kind}.* Remedy: See quartet.yaml"):
        load_settings(write(text), {})


def test_a_variable_that_is_not_yaml_is_named(load):
    with pytest.raises(ConfigError, match=r"(?s)QUARTET__CLASSES=\[a, b is not YAML.* Remedy: Quote the value"):
        load(None, QUARTET__CLASSES="[a, b")


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().train.epochs = 3


@pytest.mark.parametrize("name", ["quartet.yaml", "infra/quartet.production.yaml"])
def test_the_files_that_are_shipped_load(name):
    settings = load_settings(ROOT / name, {})

    assert list(settings.variants) == ["vgg16", "vgg19", "mobilenet", "xception"]
    assert settings.gate.min_macro_f1 is not None


def test_production_is_strict():
    settings = load_settings(ROOT / "infra/quartet.production.yaml", {})

    assert settings.classes == ("glioma", "meningioma", "notumor", "pituitary")
    assert (settings.weights.source, settings.weights.download) == ("imagenet", False)


def test_the_schema_describes_every_section():
    properties = Settings.model_json_schema()["properties"]

    assert set(properties) == set(Settings.model_fields)


def test_approval_is_off_and_an_empty_section_turns_it_on(load):
    assert load().gate.approval is None
    assert load({"gate": {"approval": {}}}).gate.approval == ApprovalSettings(timeout_hours=24, approvers=())
    assert load(QUARTET__GATE__APPROVAL__TIMEOUT_HOURS="1.5").gate.approval.timeout_hours == 1.5


@pytest.mark.parametrize("hours", [0, 169])
def test_approval_is_waited_for_a_week_at_most(load, hours):
    with pytest.raises(ConfigError, match=r"gate\.approval\.timeout_hours"):
        load({"gate": {"approval": {"timeout_hours": hours}}})
