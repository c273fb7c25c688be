"""The command line from a folder of images to an answer of the model server, with nothing but real parts."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from free_ports import free_ports
from ml.phantom import draw_phantoms

pytestmark = pytest.mark.slow

QUARTET = Path(sys.executable).with_name("quartet")


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    grpc_port, rest_port = free_ports(2)
    settings = {
        "model_name": "tiny",
        "store": {"url": str(folder / "store"), "cache_dir": str(folder / "cache")},
        "images": {"size": 64},
        "variants": {"narrow": {"backbone": "mobilenet", "alpha": 0.25}},
        "weights": "random",
        "train": {"epochs": 2, "units": 16, "heads": 2, "key_dim": 8},
        "validation": {"min_images_per_class": 3},
        "gate": {"min_macro_f1": 0.0},
        "serving": {
            "model_dir": str(folder / "models"),
            "grpc_port": grpc_port,
            "rest_port": rest_port,
        },
        "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
        "artifact_uri": str(folder / "artifacts"),
    }
    path = folder / "quartet.yaml"
    path.write_text(yaml.safe_dump(settings))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUARTET")}
    return inherited | {"QUARTET_CONFIG": str(path), "COLUMNS": "200"}


@pytest.fixture(scope="module")
def quartet(environ):
    def run(*arguments, **overrides):
        return subprocess.run(
            [QUARTET, *map(str, arguments)], env=environ | overrides, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_phantoms(tmp_path_factory.mktemp("images"), 10)


@pytest.fixture(scope="module")
def uploaded(quartet, drawn):
    result = quartet("upload", drawn.folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def ingested(quartet, uploaded):
    result = quartet("ingest")
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def retrained(quartet, ingested):
    result = quartet("retrain")
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def server(environ, quartet, retrained):
    process = subprocess.Popen([QUARTET, "serve"], env=environ, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while "version 1 AVAILABLE" not in quartet("status").stdout:
        assert process.poll() is None
        assert time.monotonic() < deadline
    yield process
    process.terminate()
    assert process.wait(30) == 0


def cell(text, name):
    """A value from a two-column table."""
    return re.search(rf"│ {name} +│ (.*?) +│", text)[1]


def test_upload_sends_what_is_new_only(quartet, uploaded, drawn):
    files = len(drawn.images) + len(drawn.duplicates) + len(drawn.bad)

    assert uploaded == f"{files} files sent, 0 were there already\n"
    assert quartet("upload", drawn.folder).stdout == f"0 files sent, {files} were there already\n"


def test_ingest_publishes_a_snapshot(ingested, drawn):
    assert cell(ingested, "images") == str(drawn.good)
    assert cell(ingested, "quarantined") == str(len(drawn.bad))


def test_validate_holds_the_newest_snapshot_against_the_expectations(quartet, ingested):
    result = quartet("validate")

    assert result.returncode == 0
    assert cell(result.stdout, "snapshot_id") == cell(ingested, "snapshot_id")


def test_validate_fails_when_the_bar_is_raised(quartet, ingested):
    result = quartet("validate", QUARTET__VALIDATION__MIN_IMAGES_PER_CLASS="50")

    assert result.returncode == 1
    assert "ValidationFailedError" in result.stderr
    assert "Remedy:" in result.stderr


def test_retrain_prints_its_candidates_and_the_decision(retrained):
    assert re.search(r"\* narrow +│ \d\.\d{4} +│ \d\.\d{4} +│ \d\.\d{4}", retrained)
    assert cell(retrained, "promoted") == "True"
    assert cell(retrained, "version") == "1"


def test_a_second_run_of_the_same_ends_and_says_why(quartet, retrained):
    result = quartet("retrain", "--reason", "why not", "--by", "Jane Doe")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(
        f"Ends here, asked for by Jane Doe (why not): nothing changed since run {cell(retrained, 'run_id')}, and its "
        "winner narrow serves as version 1."
    )
    assert "--force" in result.stdout


def test_tune_prints_its_trials_and_settings_to_take_over(quartet, retrained):
    result = quartet("tune", "--trials", "2")

    assert result.returncode == 0, result.stderr
    assert "Trials of narrow" in result.stdout
    settings = yaml.safe_load(result.stdout[result.stdout.index("train:") :])
    assert settings["train"]["epochs"] == 2


def test_a_run_that_is_in_production_is_not_promoted_by_hand(quartet, retrained):
    result = quartet("promote", cell(retrained, "run_id"), "--reason", "once more")

    assert result.returncode == 1
    assert "is in production already, as version 1" in result.stderr


@pytest.mark.parametrize("protocol", [[], ["--protocol", "rest"]], ids=["grpc", "rest"])
def test_predict_asks_the_model_server(quartet, server, drawn, protocol):
    image = drawn.folder / next(path for path, kind in drawn.images.items() if kind == "JPEG")

    result = quartet("predict", image, *protocol)

    assert result.returncode == 0, result.stderr
    assert re.search(rf"{image.name} +│ (glioma|meningioma|notumor|pituitary) +│ 0\.\d{{4}}", result.stdout)


@pytest.mark.parametrize(
    ("arguments", "overrides", "message"),
    [
        (["retrain", "--variant", "vgg99"], {}, "There is no variant 'vgg99'. Remedy: Known: narrow"),
        (["retrain", "--snapshot-id", "000009-none"], {}, "000009-none"),
        (["retrain", "--min-macro-f1", "60"], {}, "Refused for this run: min_macro_f1 = 60.0: Input should be less"),
        (["promote", "no-such-run", "--reason", "why not"], {}, "There is no run 'no-such-run'"),
        (["approve", "no-such-run", "--by", " "], {}, "Nobody is named."),
        (["upload", "no/such/folder"], {}, "There is no folder no/such/folder."),
        (["config"], {"QUARTET__TRAIN__EPOCS": "3"}, "unknown setting 'train.epocs'"),
        (["config"], {"QUARTET_CONFIG": "missing.yaml"}, "There is no settings file missing.yaml."),
        (["ingest"], {"QUARTET__STORE__URL": "{empty}"}, "is empty"),
        (["predict", "{image}"], {"QUARTET__SERVING__GRPC_PORT": "1"}, "127.0.0.1:1"),
        (
            ["ingest"],
            {
                "QUARTET__STORE__URL": "s3://bucket",
                "QUARTET__STORE__ENDPOINT_URL": "http://127.0.0.1:1",
                "QUARTET__STORE__MAX_ATTEMPTS": "1",
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
            },
            "The object store at http://127.0.0.1:1 does not answer",
        ),
    ],
    ids=[
        "variant",
        "snapshot",
        "share",
        "run",
        "nobody",
        "folder",
        "key",
        "file",
        "landing-zone",
        "model-server",
        "store",
    ],
)
def test_bad_input_names_the_value_and_ends_with_status_1(
    quartet, ingested, drawn, tmp_path, arguments, overrides, message
):
    names = {"empty": tmp_path / "empty", "image": drawn.folder / next(iter(drawn.images))}

    result = quartet(
        *(argument.format(**names) for argument in arguments),
        **{name: value.format(**names) for name, value in overrides.items()},
    )

    assert result.returncode == 1
    assert message in result.stderr.replace("\nRemedy", " Remedy")
    assert "Traceback" not in result.stderr


def test_config_prints_what_is_in_force(quartet):
    result = quartet("config", QUARTET__TRAIN__EPOCHS="7")

    assert yaml.safe_load(result.stdout)["train"]["epochs"] == 7


def test_schema_describes_every_section(quartet):
    result = quartet("config", "--schema")

    assert '"max_quarantined_share"' in result.stdout


def test_quarantine_lists_what_was_refused_by_reason(quartet, ingested, drawn):
    result = quartet("quarantine", "list")

    assert result.returncode == 0, result.stderr
    assert all(
        re.search(rf"landing/{re.escape(path)} +│ {reason} ", result.stdout) for path, reason in drawn.bad.items()
    )
    assert "landing/glioma/notes.jpg" not in quartet("quarantine", "list", "--reason", "empty").stdout


def test_quarantine_shows_why_and_where_the_bytes_are(quartet, ingested, drawn):
    result = quartet("quarantine", "show", "glioma/notes.jpg")

    assert cell(result.stdout, "reason") == "not_an_image"
    kept = Path(cell(result.stdout, "uri").strip())
    assert kept.read_bytes() == (drawn.folder / "glioma/notes.jpg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "glioma/none.jpg"], "Nothing in quarantine is called 'glioma/none.jpg'."),
        (["list", "--reason", "ugly"], "No object is in quarantine for 'ugly'."),
        (["release", "--note", "why not"], "What is to be released is not clear."),
        (["release", "glioma/second_opinion.png", "--note", "seen"], "is in quarantine for its label"),
    ],
    ids=["name", "reason", "nothing", "label"],
)
def test_quarantine_names_what_it_cannot_do(quartet, ingested, arguments, message):
    result = quartet("quarantine", *arguments)

    assert result.returncode == 1
    assert message in result.stderr


def test_a_release_is_carried_out_by_the_next_ingest(quartet, ingested, retrained, drawn):
    released = quartet("quarantine", "release", "notumor/thumbnail.png", "--note", "small on purpose")
    result = quartet("ingest", QUARTET__IMAGES__MIN_SIDE="8")

    assert "1 object(s) will be looked at again" in released.stdout
    assert result.returncode == 0, result.stderr
    assert cell(result.stdout, "images") == str(drawn.good + 1)
    assert cell(result.stdout, "quarantined") == str(len(drawn.bad) - 1)


def test_a_cleared_winner_waits_for_approval_where_one_is_wanted(quartet, retrained):
    """The last one: it publishes a second version, and the model server goes with the newest.

    It is only the run that asks for a person, and the commands after it know.
    """
    waiting = quartet("retrain", "--ask-approval", "--epochs", "1")
    run_id = cell(waiting.stdout, "run_id")
    refused = quartet("promote", run_id, "--reason", "why not")
    approved = quartet("approve", run_id, "--by", "Jane Doe")

    assert (cell(waiting.stdout, "promoted"), cell(waiting.stdout, "version")) == ("False", "None")
    assert f"quartet approve {run_id} --by NAME" in waiting.stdout
    assert refused.returncode == 1
    assert "waits for a person's approval" in refused.stderr
    assert approved.returncode == 0, approved.stderr
    assert "Approved by Jane Doe on the command line" in cell(approved.stdout, "reason")
    assert cell(approved.stdout, "version") == "2"
